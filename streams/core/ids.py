"""Identities of notifications.

The same step told to the same person has the same one. Imports nothing of ours. Source: docs/rules.md
section 7.
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
    text = SEPARATOR.join((recipient, subject, kind_name, business_key, *revision))
    digest = _SEEDED.copy()
    digest.update(text.encode("utf-8", "surrogatepass"))
    name = digest.hexdigest()
    return f"{name[:8]}-{name[8:12]}-5{name[13:16]}-{_VARIANT[name[16]]}{name[17:20]}-{name[20:32]}"
