"""Are the pseudonyms of decisions made of the names that they stand for? Pure."""

from collections.abc import Iterable
from typing import Any

from verifier.model.pseudonyms import is_pseudonym, pseudonym
from verifier.model.rules import Row
from verifier.recording import Recording

NAMELESS = ("no_key", "too_large", "misrouted")


def has_names(
    recording: Recording, key: bytes, wanted: list[Row], found: list[dict[str, Any]], folded: int
) -> bool:
    """Tell whether the pseudonyms of all rows are made of a subject's names with the salt of then.

    `folded` is the offset of requests below which all were folded then. Where the state of then is not kept
    any more, only the names' form can be checked.
    """
    if found and "subject" not in found[0]:  # of the first schema, which had names
        return [row["holder"] for row in found] == [row.holder for row in wanted]
    salt = recording.salt_at(key, folded)
    shown = [(row["holder"], row.get("subject")) for row in found]
    due = [
        (
            row.holder and pseudonym(salt or b"", "u", row.holder),
            None if row.rule in NAMELESS else pseudonym(salt or b"", "s", key.decode("utf-8", "replace")),
        )
        for row in wanted
    ]
    if salt is None:
        return list(map(_forms, shown)) == list(map(_forms, due))
    return shown == due


def _forms(names: Iterable[str | None]) -> tuple[object, ...]:
    return tuple("pseudonym" if name is not None and is_pseudonym(name) else name for name in names)
