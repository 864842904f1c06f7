"""The pseudonyms of decisions, as decision_batch.avsc describes them."""

import base64
import hashlib
import hmac
import re

_FORM = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)


def pseudonym(salt: bytes, letter: str, name: str) -> str:
    """What stands for a subject ("s") or a user ("u") of the subject that the salt belongs to."""
    digest = hmac.new(salt, (letter + name).encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.b64encode(digest[:16], b"-_").decode()[:22]


def is_pseudonym(name: str) -> bool:
    """Tell whether a name can be a pseudonym, and none of a person."""
    return _FORM.fullmatch(name) is not None
