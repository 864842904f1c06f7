"""The compiled hashes against hashlib and the interpreted ones, at every length around every block."""

import base64
import hashlib
import random
from collections.abc import Callable

import pytest

pytest.importorskip("numba", reason="numba is not installed (extra `fast`): nothing is compiled")

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.core.ids import notification_id
from streams.core.pseudonyms import subject_pseudonym
from streams.kernel.compiled import hashes, sha1, sha256
from streams.kernel.compiled.jit import compiled_anew
from streams.wire import partition
from tests.kernel.compiled.arrays import array_of

SHA1_WORDS = np.zeros(hashes.SHA1_WORDS, dtype=np.uint32)
BLAKE2B_WORDS = np.zeros(hashes.BLAKE2B_WORDS, dtype=np.uint64)
EVERY_SIZE = range(400)
"""Six blocks of SHA-1, three of BLAKE2b."""

around = st.binary(max_size=9)
texts = st.text(max_size=80) | st.text("a\x1f", min_size=30, max_size=300)


def uuid5(text: bytes, before: bytes = b"", behind: bytes = b"") -> bytes:
    out = array_of(before + bytes(hashes.UUID_CHARS) + behind)
    # what stands behind the text is not read
    hashes.sha1_uuid5(array_of(text + behind), len(text), out, len(before), SHA1_WORDS)
    written = out.tobytes()
    assert (written[: len(before)], written[len(before) + hashes.UUID_CHARS :]) == (before, behind)
    return written[len(before) : len(before) + hashes.UUID_CHARS]


def blake2b(data: bytes, digest_size: int) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=digest_size).digest(), "little")


def patterned(size: int) -> bytes:
    return bytes(index * 167 + 13 & 255 for index in range(size))


@settings(max_examples=300, deadline=None)
@given(texts, around, around)
@example("", b"", b"")
def test_the_uuid_is_that_of_the_notification(text: str, before: bytes, behind: bytes) -> None:
    joined = text + "\x1f" * max(0, 3 - text.count("\x1f"))
    expected = notification_id(*joined.split("\x1f", 3))
    assert uuid5(joined.encode("utf-8", "surrogatepass"), before, behind) == expected.encode()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40) | st.integers(0, 600).map(patterned), around, around)
def test_other_hashes_are_those_of_the_bytes_between(data: bytes, before: bytes, behind: bytes) -> None:
    whole, at, size = array_of(before + data + behind), len(before), len(data)
    assert hashes.blake2b_8(whole, at, size, BLAKE2B_WORDS) == blake2b(data, 8)
    assert hashes.blake2b_4(whole, at, size, BLAKE2B_WORDS) == blake2b(data, 4)
    assert hashes.murmur2(whole, at, size) == partition.murmur2(data) & 0x7FFFFFFF


def test_every_length_around_every_block() -> None:
    for size in EVERY_SIZE:
        data = patterned(size)
        text = "".join(chr(97 + byte % 26) for byte in data)
        expected = notification_id("u", "s", "RECEIPT", text)
        assert uuid5(f"u\x1fs\x1fRECEIPT\x1f{text}".encode()) == expected.encode(), size
        assert hashes.blake2b_8(array_of(data), 0, size, BLAKE2B_WORDS) == blake2b(data, 8), size
        assert hashes.blake2b_4(array_of(data), 0, size, BLAKE2B_WORDS) == blake2b(data, 4), size
        assert hashes.murmur2(array_of(data), 0, size) == partition.murmur2(data) & 0x7FFFFFFF, size


def test_a_long_text_of_many_blocks() -> None:
    data = patterned(1_048_576)
    assert hashes.blake2b_8(array_of(data), 0, len(data), BLAKE2B_WORDS) == blake2b(data, 8)
    text = "é" * 300_000
    assert uuid5(f"u\x1fs\x1fk\x1f{text}".encode()) == notification_id("u", "s", "k", text).encode()


@compiled_anew
def by_instructions(words: sha1.Words) -> None:
    sha1.compress(words)


@compiled_anew
def plainly(words: sha1.Words) -> None:
    sha1.compress_plainly(words)


@pytest.mark.parametrize("compress", [by_instructions, plainly])
def test_a_block_is_taken_into_the_state_as_hashlib_does(compress: Callable[[sha1.Words], None]) -> None:
    words = np.zeros(sha1.WORDS, dtype=np.uint32)
    draw = random.Random(1)
    for blocks in range(1, 40):
        text = draw.randbytes(64 * blocks - 9)
        words[sha1.STATE :] = hashes.SHA1_START
        for block in np.frombuffer(text + b"\x80" + (8 * len(text)).to_bytes(8), ">u4").reshape(-1, 16):
            words[:16] = block
            compress(words)
        assert (
            words[sha1.STATE :].astype(">u4").tobytes() == hashlib.sha1(text, usedforsecurity=False).digest()
        )


@compiled_anew
def sha256_by_instructions(words: sha256.Words) -> None:
    sha256.compress(words)


@compiled_anew
def sha256_plainly(words: sha256.Words) -> None:
    sha256.compress_plainly(words)


@pytest.mark.parametrize("compress", [sha256_by_instructions, sha256_plainly])
def test_a_block_of_sha256_is_taken_into_the_state_as_hashlib_does(
    compress: Callable[[sha256.Words], None],
) -> None:
    words = np.zeros(sha256.WORDS, dtype=np.uint32)
    for size in range(56):
        text = random.Random(size).randbytes(size)
        block = text + b"\x80" + bytes(55 - size) + (8 * size).to_bytes(8, "big")
        words[sha256.STATE :] = sha256.START
        words[: sha256.BLOCK_WORDS] = np.frombuffer(block, ">u4")
        compress(words)
        assert words[sha256.STATE :].astype(">u4").tobytes() == hashlib.sha256(text).digest()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([0, 4, 16, 64]).map(patterned), texts, around, around)
@example(b"", "", b"", b"")
def test_the_pseudonym_is_that_of_the_core(salt: bytes, name: str, before: bytes, behind: bytes) -> None:
    words, text = np.zeros(sha256.HMAC_WORDS, dtype=np.uint32), name.encode()
    whole = array_of(before + salt + text + behind)
    sha256.hmac_key(words, whole, len(before), len(salt))
    for _ in range(2):
        sha256.hmac_half(words, ord("s"), whole, len(before) + len(salt), len(text))
        made = words[sha256.STATE : sha256.STATE + 4].astype(">u4").tobytes()
        assert base64.urlsafe_b64encode(made).rstrip(b"=").decode() == subject_pseudonym(salt, name)
