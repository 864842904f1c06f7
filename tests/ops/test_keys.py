import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc.util import urlsafe_b64decode

from streams.errors import CheckFailedError, ConfigurationError
from streams.ops.keys import KeyFiles, create_keys, read_key, seal, sign, unseal, verify


@pytest.fixture
def letters(tmp_path: Path) -> KeyFiles:
    return create_keys("dead-letters", tmp_path)


@pytest.fixture
def receipts(tmp_path: Path) -> KeyFiles:
    return create_keys("receipts", tmp_path)


def test_a_pair_is_made_once_and_the_private_half_is_its_owner_s(letters: KeyFiles, tmp_path: Path) -> None:
    assert stat.S_IMODE(letters.private.stat().st_mode) == 0o600
    public = json.loads(letters.public.read_text())
    assert (public["kid"], public["use"], "d" in public) == (letters.key_id, "enc", False)
    with pytest.raises(ConfigurationError, match="never overwritten"):
        create_keys("dead-letters", tmp_path)


def test_what_is_sealed_with_the_public_key_is_opened_with_the_private_one(letters: KeyFiles) -> None:
    public = read_key("dead-letters", letters.public, is_private=False)
    private = read_key("dead-letters", letters.private, is_private=True)
    for value in (b"", b"\0\xff" * 500_000, b"canary"):
        sealed = seal(public, value)
        assert value not in sealed or not value
        assert seal(public, value) != sealed
        assert unseal(private, sealed) == value


def test_another_key_or_a_damaged_value_opens_nothing(letters: KeyFiles, tmp_path: Path) -> None:
    other = read_key("dead-letters", create_keys("dead-letters", tmp_path / "b").private, is_private=True)
    private = read_key("dead-letters", letters.private, is_private=True)
    sealed = seal(private, b"value")
    for key, text in (
        (other, sealed),
        (private, sealed[:-8] + b"AAAAAAAA"),
        (private, b"no jwe"),
        (private, b""),
    ):
        with pytest.raises(CheckFailedError):
            unseal(key, text)


def test_a_key_that_cannot_seal_and_half_a_pair_are_refused(letters: KeyFiles, tmp_path: Path) -> None:
    fields = json.loads(letters.public.read_text())
    letters.public.write_text(json.dumps(fields | {"x": "A" * 43}))
    with pytest.raises(ConfigurationError, match="cannot seal"):
        read_key("dead-letters", letters.public, is_private=False)
    letters.private.unlink()
    with pytest.raises(ConfigurationError, match="is there already"):
        create_keys("dead-letters", tmp_path)
    assert not letters.private.exists()


def test_what_is_signed_is_verified_with_the_public_key_and_not_when_altered(receipts: KeyFiles) -> None:
    private = read_key("receipts", receipts.private, is_private=True)
    public = read_key("receipts", receipts.public, is_private=False)
    token = sign(private, "kind", {"b": 1, "a": "ö"})
    assert verify(public, f"{token}\n") == {"b": 1, "a": "ö"}
    head, body, signature = token.split(".")
    for altered in (
        f"{head}.{body[:-2]}AA.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        "x",
        "",
        "a.b.c",
    ):
        with pytest.raises(CheckFailedError, match="does not fit"):
            verify(public, altered)


def test_a_receipt_is_verified_without_us_by_the_bytes_alone(receipts: KeyFiles) -> None:
    token = sign(read_key("receipts", receipts.private, is_private=True), "kind", {"a": 1})
    known = json.loads(receipts.public.read_text())
    signed, _, signature = token.rpartition(".")
    Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(known["x"].encode())).verify(
        urlsafe_b64decode(signature.encode()), signed.encode()
    )


def test_a_file_that_holds_no_such_key_is_refused_with_the_cure(
    letters: KeyFiles, receipts: KeyFiles, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.json"
    for text in ("", "{}", "[1]", '{"kty": "OKP"}', "\x00", '{"kty":"RSA","n":"AQAB","e":"AQAB"}'):
        broken.write_text(text)
        with pytest.raises(ConfigurationError, match="notifier keys create receipts"):
            read_key("receipts", broken, is_private=False)
    with pytest.raises(ConfigurationError, match="are of Ed25519"):
        read_key("receipts", letters.private, is_private=True)
    with pytest.raises(ConfigurationError, match="needs the private one"):
        read_key("receipts", receipts.public, is_private=True)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_key("receipts", tmp_path / "none", is_private=True)
