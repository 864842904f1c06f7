"""Reads a consent state of one holder with one version, as `consent.state` has it, into places and numbers.

Whatever is shaped otherwise is not read here: it is stored whole. Imports `fields` and `bytes_out`. Read
next: `index.py`. Source: consent_state.avsc; Avro 1.12 specification, "Binary encoding".
"""

import numpy as np

from streams.core.pseudonyms import SALT_BYTES
from streams.kernel.compiled.bytes_out import is_same
from streams.kernel.compiled.fields import is_ascii, read_varint
from streams.kernel.compiled.jit import compiled, inner
from streams.kernel.compiled.types import Bytes, Longs, whole

FRAME_SIZE = 5
TEXT_LIMIT = 255
"""Of each text that is stored field by field; whose texts are longer is stored whole."""
_TIME_LIMIT = 1 << 47

F_SUBJECT, F_USER, F_CONSENT, F_CHANNEL, F_HEAD, F_TAIL = 0, 2, 4, 6, 8, 10
F_VERSION, F_EFFECTIVE, F_VALID, F_REVOKED, F_REQUEST, F_SALT = 12, 13, 14, 15, 16, 17
FOUND = 18
"""Places in `found`: each text takes two, place and size; F_HEAD and F_TAIL are the parts that policies
share; F_SALT is where the salt stands, -1 if there is none."""


@inner
def _read_long(source: Bytes, at: int, end: int) -> tuple[int, int]:
    """Read a number; the place is -1 where there is none."""
    zigzag, at = read_varint(source, at, end)
    return whole(zigzag >> np.uint64(1)) ^ -whole(zigzag & np.uint64(1)), at


@inner
def _skip_sized(source: Bytes, at: int, end: int) -> int:
    """Return where a string ends, -1 where there is none."""
    size, at = _read_long(source, at, end)
    return at + size if at >= 0 and 0 <= size <= end - at else -1


@inner
def _skip_optional(source: Bytes, at: int, end: int, is_text: bool) -> int:
    """Return where a union of null and a number or text ends, -1 where there is none."""
    if at < 0 or at >= end:
        return -1
    if source[at] == 0:
        return at + 1
    if source[at] != 2:
        return -1
    if is_text:
        return _skip_sized(source, at + 1, end)
    return _read_long(source, at + 1, end)[1]


@inner
def _read_text(source: Bytes, at: int, end: int, found: Longs, which: int) -> int:
    """Read a short ASCII string, place and size into `found`; -1 where there is none."""
    if at < 0:
        return -1
    size, at = _read_long(source, at, end)
    if at < 0 or not 0 <= size <= min(TEXT_LIMIT, end - at) or not is_ascii(source, at, size):
        return -1
    found[which], found[which + 1] = at, size
    return at + size


@compiled
def read_simple(source: Bytes, at: int, end: int, frame: Bytes, found: Longs) -> bool:
    """Read a consent state of one holder with one version into `found`; False if it is not one of these."""
    if end - at < FRAME_SIZE:
        return False
    if not is_same(source, at, frame, 0, FRAME_SIZE):
        return False
    at = _read_text(source, at + FRAME_SIZE, end, found, F_SUBJECT)
    if at < 0 or at >= end or source[at] != 2:
        return False
    at = _read_text(source, at + 1, end, found, F_USER)
    if at < 0 or at >= end or source[at] != 2:
        return False
    at = _read_text(source, at + 1, end, found, F_CONSENT)
    if at < 0:
        return False
    found[F_VERSION], at = _read_long(source, at, end)
    if at < 0 or not 0 <= found[F_VERSION] < 1 << 16:
        return False
    found[F_HEAD] = at
    purposes, at = _read_long(source, at, end)
    if at < 0 or not 0 <= purposes <= 8:
        return False
    at += purposes + (1 if purposes else 0) + 2
    if at > end:
        return False
    for index in range(found[F_HEAD], at):
        if source[index] >= 0x80:
            return False
    found[F_HEAD + 1] = at - found[F_HEAD]
    at = _read_text(source, at, end, found, F_CHANNEL)
    if at < 0:
        return False
    found[F_EFFECTIVE], at = _read_long(source, at, end)
    if at < 0:
        return False
    found[F_VALID], at = _read_long(source, at, end)
    if at < 0 or at >= end:
        return False
    found[F_REVOKED] = -1
    if source[at] == 2:
        found[F_REVOKED], at = _read_long(source, at + 1, end)
        if at < 0 or found[F_REVOKED] < 0:
            return False
    elif source[at] == 0:
        at += 1
    else:
        return False
    found[F_TAIL] = at
    for _ in range(4):
        at = _skip_sized(source, at, end)
        if at < 0:
            return False
    at = _skip_optional(source, at, end, False)
    at = _skip_optional(source, at, end, True)
    at = _skip_optional(source, at, end, False)
    if at < 0 or at + 3 > end:
        return False
    found[F_TAIL + 1] = at - found[F_TAIL]
    if source[at] != 0 or source[at + 1] != 0 or source[at + 2] != 0:
        return False
    found[F_REQUEST], at = _read_long(source, at + 3, end)
    if at < 0 or at >= end:
        return False
    found[F_SALT] = -1
    if source[at] == 2 and end - at == SALT_BYTES + 2 and source[at + 1] == 2 * SALT_BYTES:
        found[F_SALT] = at + 2
        at = end
    elif source[at] == 0:
        at += 1
    return (
        at == end
        and -1 <= found[F_REQUEST] < 1 << 39
        and 0 <= found[F_EFFECTIVE] < _TIME_LIMIT
        and 0 <= found[F_VALID] < _TIME_LIMIT
        and found[F_REVOKED] < _TIME_LIMIT
    )
