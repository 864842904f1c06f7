"""The pseudonyms of a subject and its one holder, kept for the subjects that had an event of late.

The compiled side of `core/pseudonyms.py`. Imports `index` and `sha256`. Read next: `rows.py`.
"""

import numpy as np

from streams.core.pseudonyms import PSEUDONYM_BYTES, SALT_BYTES
from streams.kernel.compiled.bytes_out import get_number
from streams.kernel.compiled.index import FLAGS, SALTED, IndexArrays, salt_place
from streams.kernel.compiled.jit import compiled, inlined
from streams.kernel.compiled.sha256 import STATE, Words, hmac_half
from streams.kernel.compiled.types import Bytes, whole

PSEUDONYM_CHARS = 2 * PSEUDONYM_BYTES
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_SUBJECT, _USER = ord("s"), ord("u")


@inlined
def _put_hex(out: Bytes, at: int, words: Words) -> None:
    for digit in range(PSEUDONYM_CHARS):
        word = words[np.uint64(STATE + (digit >> 3))]
        out[np.uint64(at + digit)] = _HEX[
            np.uint64(word >> np.uint32(28 - ((digit & 7) << 2)) & np.uint32(15))
        ]


@compiled
def pseudonyms_at(index: IndexArrays, slot: int, user: Bytes, user_size: int, words: Words) -> int:
    """Return where in `index.names` the pseudonyms of a simple slot stand: the subject's, then the user's.

    `user` begins with the user id.
    """
    entry = slot & (index.names_of.size - 1)
    at = entry * 2 * PSEUDONYM_CHARS
    if index.names_of[entry] == slot + 1:
        return at
    arena, record = index.arena, whole(index.record_at[slot])
    key_size = get_number(arena, record, 2)
    holder = record + 2 + key_size
    salt_size = SALT_BYTES if arena[holder + FLAGS] & SALTED else 0
    salt = salt_place(arena, holder)
    hmac_half(words, arena, salt, salt_size, _SUBJECT, arena, record + 2, key_size)
    _put_hex(index.names, at, words)
    hmac_half(words, arena, salt, salt_size, _USER, user, 0, user_size)
    _put_hex(index.names, at + PSEUDONYM_CHARS, words)
    index.names_of[entry] = slot + 1
    return at
