"""Identities that are computed from what they are of, so that a repetition has the same one.

Of notifications: the same step told to the same person. Of revocations that an unlink causes: the same
subject at the same unlink. Imports nothing of ours. Source: docs/rules.md sections 7 and 9.
"""

import hashlib

NAMESPACE = "1b5eb6ff-3e37-4091-bfeb-9304ea67c482"
SEPARATOR = "\x1f"

_SEEDED = hashlib.sha1(bytes.fromhex(NAMESPACE.replace("-", "")), usedforsecurity=False)
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def notification_id(recipient: str, subject: str, kind_name: str, business_key: str, *revision: str) -> str:
    """Return the UUIDv5 of the parts joined by U+001F, in lower case.

    `revision` are the parts that tell one step from the next, already text. Never raises. Source: RFC 9562
    section 5.5; schemas/id-vectors.json.
    """
    return _uuid5(SEPARATOR.join((recipient, subject, kind_name, business_key, *revision)))


def revocation_id(position: str, subject: str) -> str:
    """Return the UUIDv5 of the revocation of `subject` by the unlink at `position`; see `notification_id`."""
    return _uuid5(position + SEPARATOR + subject)


def _uuid5(text: str) -> str:
    digest = _SEEDED.copy()
    digest.update(text.encode("utf-8", "surrogatepass"))
    name = digest.hexdigest()
    return f"{name[:8]}-{name[8:12]}-5{name[13:16]}-{_VARIANT[name[16]]}{name[17:20]}-{name[20:32]}"
