"""Foreign text made safe to show: no controls, no bidi tricks, no broken characters, a known length.

Imports nothing of ours. The contract is docs/words.md section 2. Read next: `render.py`.
"""

import re
import unicodedata

MAX_FIELD_CHARS = 160
ELLIPSIS = "…"
_SPACES = frozenset("\t\n\v\f\r\x85")
_JOINERS = frozenset("\u200c\u200d")
_NUMBER_SIGNS = frozenset(".,'\u2019-\u00a0")


def clean(text: str | None) -> str | None:
    """Return foreign text as it may be shown, at most 162 characters; None if empty. Never raises."""
    if not text:
        return None
    kept = "".join(map(_safe_char, text))
    line = re.sub(" +", " ", kept).strip(" ")
    if not line:
        return None
    line = cut(line, MAX_FIELD_CHARS)
    # Without isolates a right-to-left name moves the numbers beside it to its other side.
    has_rtl = any(unicodedata.bidirectional(char) in ("R", "AL") for char in line)
    return f"\u2068{line}\u2069" if has_rtl else line


def _safe_char(char: str) -> str:
    category = unicodedata.category(char)
    if char in _SPACES or category in ("Zs", "Zl", "Zp"):
        return " "
    return "" if category in ("Cc", "Cf", "Cs") and char not in _JOINERS else char


def cut(text: str, limit: int) -> str:
    """Return at most `limit` (>= 1) characters, … for what is missing; never splits a glyph or a number."""
    if len(text) <= limit:
        return text
    end = limit - 1
    while end > 0 and not _is_good_place(text[end - 1], text[end]):
        end -= 1
    return text[:end].rstrip(" ") + ELLIPSIS


def _is_good_place(before: str, after: str) -> bool:
    is_mark = unicodedata.category(after) in ("Mn", "Mc", "Me")
    if is_mark or after in _JOINERS or "\U0001f3fb" <= after <= "\U0001f3ff" or before == "\u200d":
        return False
    if _both(before, after, "\U0001f1e6", "\U0001f1ff") or _both(before, after, "\u1100", "\u11ff"):
        return False
    return not (_is_of_number(before) and _is_of_number(after))


def _both(before: str, after: str, first: str, last: str) -> bool:
    return first <= before <= last and first <= after <= last


def _is_of_number(char: str) -> bool:
    return char in _NUMBER_SIGNS or unicodedata.category(char) in ("Nd", "Sc")
