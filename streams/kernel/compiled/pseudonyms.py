"""The pseudonyms of a subject and its one holder, kept for the subjects that had an event of late.

The compiled side of `core/pseudonyms.py`. Imports `index` and `sha256`. Read next: `rows.py`.
"""

import string

import numpy as np

from streams.core.pseudonyms import PSEUDONYM_BYTES, SALT_BYTES
from streams.kernel.compiled.bytes_out import get_number
from streams.kernel.compiled.index import FLAGS, SALTED, IndexArrays, salt_place
from streams.kernel.compiled.jit import compiled, inlined
from streams.kernel.compiled.sha256 import STATE, Words, hmac_half, hmac_key
from streams.kernel.compiled.types import Bytes, whole

PSEUDONYM_CHARS = -(-PSEUDONYM_BYTES * 8 // 6)
_DIGITS = np.frombuffer(f"{string.ascii_letters.swapcase()}{string.digits}-_".encode(), dtype=np.uint8)
_SUBJECT, _USER = ord("s"), ord("u")


@inlined
def _put_digits(out: Bytes, at: int, words: Words) -> None:
    """Write the 128 bits in `words[STATE:]` as base64url, without padding."""
    bits, held, word = np.uint64(0), 0, 0
    for digit in range(PSEUDONYM_CHARS):
        if held < 6:
            low = np.uint64(words[np.uint64(STATE + word)]) if word < 4 else np.uint64(0)
            bits = bits << np.uint64(32) | low
            held += 32
            word += 1
        held -= 6
        out[np.uint64(at + digit)] = _DIGITS[bits >> np.uint64(held) & np.uint64(63)]


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
    hmac_key(words, arena, salt_place(arena, holder), salt_size)
    hmac_half(words, _SUBJECT, arena, record + 2, key_size)
    _put_digits(index.names, at, words)
    hmac_half(words, _USER, user, 0, user_size)
    _put_digits(index.names, at + PSEUDONYM_CHARS, words)
    index.names_of[entry] = slot + 1
    return at
