"""The operator's keys, as JWK files: what is sealed for their owner, and what is signed by them.

Two uses, a pair of files each: `dead-letters` (X25519: anybody with the public key seals, its owner opens)
and `receipts` (Ed25519: its owner signs, anybody with the public key verifies, without us). Nothing here is
our own cryptography: JOSE by joserfc, on the library `cryptography`. Imports errors. Read next:
`dead_letters.py`, `receipts.py`. Source: RFC 7515 to 7518, RFC 8037, RFC 9864.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from streams.errors import CheckFailedError, ConfigurationError

KeyUse = Literal["dead-letters", "receipts"]


class Recipe(NamedTuple):
    """How a use's keys are made: curve, and what the JWK says of itself."""

    curve: Literal["X25519", "Ed25519"]
    alg: str
    use: Literal["enc", "sig"]


RECIPES: Mapping[KeyUse, Recipe] = MappingProxyType({
    "dead-letters": Recipe("X25519", "ECDH-ES+A256KW", "enc"),
    "receipts": Recipe("Ed25519", "Ed25519", "sig"),
})  # fmt: skip
CONTENT_CIPHER = "A256GCM"
MAX_KEY_BYTES = 16_384
MAX_SEALED_CHARS = 2 << 20


class KeyFiles(NamedTuple):
    """Where a new pair is; the private file can be read by its owner only."""

    private: Path
    public: Path
    key_id: str


def create_keys(use: KeyUse, folder: Path) -> KeyFiles:
    """Make a pair of keys and write both files into `folder`; nothing that is there is overwritten.

    Raises:
        ConfigurationError: a file is there already, or the folder cannot be written.
    """
    recipe = RECIPES[use]
    made = OKPKey.generate_key(recipe.curve, {"alg": recipe.alg, "use": recipe.use})
    key_id = made.thumbprint()
    files = KeyFiles(folder / f"{use}.private.json", folder / f"{use}.public.json", key_id)
    taken = next((path for path in (files.private, files.public) if path.exists()), None)
    if taken is not None:
        raise ConfigurationError(f"{taken} is there already; keys are never overwritten.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, is_private, mode in ((files.private, True, 0o600), (files.public, False, 0o644)):
            text = json.dumps({**made.as_dict(private=is_private), "kid": key_id}, indent=1) + "\n"
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
                file.write(text)
    except FileExistsError as error:
        raise ConfigurationError(f"{error.filename} is there already; keys are never overwritten.") from error
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}.") from error
    return files


def read_key(use: KeyUse, path: Path, *, is_private: bool) -> OKPKey:
    """Read a key of one use.

    Raises:
        ConfigurationError: the file is missing, holds no key of that use, or only the public half.
    """
    recipe = RECIPES[use]
    cure = f"make one with `notifier keys create {use}`"
    try:
        with path.open("rb") as file:
            fields: Any = json.loads(file.read(MAX_KEY_BYTES))
        key = OKPKey.import_key(fields)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}; {cure}.") from error
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(f"{path} holds no JWK; {cure}.") from error
    if key.curve_name != recipe.curve:
        raise ConfigurationError(f"{path} holds no key for {use}, which are of {recipe.curve}; {cure}.")
    if is_private and not key.is_private:
        raise ConfigurationError(f"{path} holds the public key; this needs the private one.")
    if use == "dead-letters":
        try:
            seal(key, b"")
        except (JoseError, ValueError, TypeError) as error:
            raise ConfigurationError(f"{path} holds a key that cannot seal; {cure}.") from error
    return key


def seal(key: OKPKey, data: bytes) -> bytes:
    """Return a compact JWE of `data` that only the owner of the private key can open."""
    header = {"alg": RECIPES["dead-letters"].alg, "enc": CONTENT_CIPHER, "kid": key.thumbprint()}
    return jwe.encrypt_compact(header, data, key, registry=_sealing()).encode()


def unseal(key: OKPKey, sealed: bytes) -> bytes:
    """Return what was sealed.

    Raises:
        CheckFailedError: it was sealed for another key, or is not whole.
    """
    try:
        opened = jwe.decrypt_compact(sealed, key, registry=_sealing()).plaintext
    except (JoseError, ValueError) as error:
        raise CheckFailedError("The value was sealed for another key, or is damaged.") from error
    assert opened is not None
    return opened


def _sealing() -> jwe.JWERegistry:
    """Return the one way in which we seal, with room for the largest value."""
    registry = jwe.JWERegistry(algorithms=[RECIPES["dead-letters"].alg, CONTENT_CIPHER])
    registry.max_ciphertext_length = MAX_SEALED_CHARS
    return registry


def sign(key: OKPKey, kind: str, payload: Mapping[str, Any]) -> str:
    """Return a compact JWS of `payload` as JSON; `kind` goes into its header's `typ`."""
    header = {"alg": RECIPES["receipts"].alg, "kid": key.thumbprint(), "typ": kind}
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return jws.serialize_compact(header, text, key, [header["alg"]])


def verify(key: OKPKey, token: str) -> dict[str, Any]:
    """Return the payload that the owner of the key signed.

    Raises:
        CheckFailedError: the signature is not theirs, or the text was altered.
    """
    try:
        signed = jws.deserialize_compact(token.strip(), key, [RECIPES["receipts"].alg])
        payload = json.loads(signed.payload)
    except (JoseError, ValueError) as error:
        raise CheckFailedError(
            "The signature does not fit: another key signed it, or it was altered."
        ) from error
    if not isinstance(payload, dict):
        raise CheckFailedError("What was signed is no receipt.")
    return payload
