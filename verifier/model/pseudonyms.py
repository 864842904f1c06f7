"""The pseudonyms of decisions, as decision_batch.avsc describes them."""

import base64
import hashlib
import hmac


def pseudonym(salt: bytes, letter: str, name: str) -> str:
    """What stands for a subject ("s") or a user ("u") of the subject that the salt belongs to."""
    digest = hmac.new(salt, (letter + name).encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.b64encode(digest[:16], b"-_").decode()[:22]
