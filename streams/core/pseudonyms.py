"""Pseudonyms of subjects and users, as decisions and evidence carry them.

Keyed by the subject's salt: whoever deletes the salt (an erasure does) leaves names that nobody can make or
compare again. Imports the standard library only. Source: RFC 2104 (HMAC, truncated as section 5 allows);
decision_batch.avsc.
"""

import base64
import hmac

SALT_BYTES = 16
PSEUDONYM_BYTES = 16


def subject_pseudonym(salt: bytes | None, subject: str) -> str:
    """Return 22 characters (base64url) that stand for a subject; a salt of None is the empty key. Never
    raises.
    """
    return _pseudonym(salt, "s", subject)


def user_pseudonym(salt: bytes | None, user_id: str) -> str:
    """Return 22 characters (base64url) that stand for a user of the salt's subject, and of no other."""
    return _pseudonym(salt, "u", user_id)


def evidence_pseudonym(key: bytes, letter: str, name: str) -> str:
    """Return what stands for a subject ("S") or user ("U") in evidence, whatever the key is."""
    return _pseudonym(key, letter, name)


def _pseudonym(salt: bytes | None, letter: str, name: str) -> str:
    text = (letter + name).encode("utf-8", "surrogatepass")
    digest = hmac.digest(salt or b"", text, "sha256")[:PSEUDONYM_BYTES]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
