"""The closed lists of the wire contract as integers: kinds, statuses, fates, reasons.

Every member's value is the index of its symbol in the Avro enum of the same name (`schemas/*.avsc`), so that
the wire needs no table and the compiled rules see plain integers. `tests/core/test_codes.py` compares them
with the schemas. Imports nothing. Read next: `events.py`.
"""

from enum import IntEnum, IntFlag


class Purpose(IntEnum):
    """What a person allows a notification to be for. Source: `Purpose` in consent.avsc."""

    UNKNOWN = 0
    BALANCE = 1
    RECEIPT = 2
    SHIPPING = 3
    SECURITY = 4


class Purposes(IntFlag):
    """A set of purposes: bit `1 << Purpose`. UNKNOWN has no bit, so it can grant nothing."""

    NONE = 0
    BALANCE = 1 << Purpose.BALANCE
    RECEIPT = 1 << Purpose.RECEIPT
    SHIPPING = 1 << Purpose.SHIPPING
    SECURITY = 1 << Purpose.SECURITY


class Kind(IntEnum):
    """What a notification tells. Source: `Kind` in notification.avsc."""

    UNKNOWN = 0
    RECEIPT = 1
    DECLINED = 2
    REFUND = 3
    BALANCE = 4
    SHIPPING = 5
    SECURITY = 6
    DIGEST = 7
    CORRECTION = 8
    SERVICE = 9


class DetailLevel(IntEnum):
    """How much a notification may show, from least to most."""

    UNKNOWN = 0
    ACTIVITY_ONLY = 1
    AMOUNT = 2
    AMOUNT_MERCHANT = 3
    FULL = 4


class Direction(IntEnum):
    """Which money movements a consent covers."""

    UNKNOWN = 0
    IN = 1
    OUT = 2
    BOTH = 3


class TransactionStatus(IntEnum):
    """Where a payment stands."""

    UNKNOWN = 0
    PENDING = 1
    POSTED = 2
    REVERSED = 3
    DECLINED = 4
    REMOVED = 5


class Channel(IntEnum):
    """How a payment was made."""

    UNKNOWN = 0
    POS = 1
    ECOM = 2
    ATM = 3
    TRANSFER = 4
    DIRECT_DEBIT = 5
    FEE = 6


class DeclineReason(IntEnum):
    """Why a payment was declined."""

    UNKNOWN = 0
    INSUFFICIENT_FUNDS = 1
    CARD_INACTIVE = 2
    CARD_BLOCKED = 3
    INVALID_CVC = 4
    OTHER = 5


class Severity(IntEnum):
    """How urgent a security alert is."""

    UNKNOWN = 0
    INFO = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


class ShipmentStatus(IntEnum):
    """Where a parcel stands, normalised over carriers."""

    UNKNOWN = 0
    PRE_TRANSIT = 1
    IN_TRANSIT = 2
    OUT_FOR_DELIVERY = 3
    AVAILABLE_FOR_PICKUP = 4
    DELIVERED = 5
    ATTEMPT_FAILED = 6
    EXCEPTION = 7
    RETURNING = 8
    RETURNED = 9
    LOST = 10
    CANCELLED = 11
    EXPIRED = 12


class Push(IntEnum):
    """How the phone shows a notification."""

    UNKNOWN = 0
    REGULAR = 1
    SILENT = 2
    NONE = 3


class Fate(IntEnum):
    """What became of one record; a smaller value wins over its holders."""

    UNKNOWN = 0
    REJECT = 1
    DUPLICATE = 2
    NOTIFY = 3
    DIGEST = 4
    DEFER = 5
    SUPPRESS = 6


class Reason(IntEnum):
    """Why a record was suppressed or rejected. Source: `Reason` in decision_batch.avsc."""

    UNKNOWN = 0
    NO_CONSENT = 1
    CONSENT_UNREADABLE = 2
    NOT_EFFECTIVE = 3
    REVOKED = 4
    EXPIRED = 5
    PURPOSE = 6
    DIRECTION = 7
    BELOW_MINIMUM = 8
    CURRENCY_NO_RULE = 9
    STALE = 10
    UNCHANGED = 11
    REMOVED = 12
    LISTED_OUT = 13
    QUIET = 14
    THROTTLED = 15
    STATE_LIMIT = 16
    CAPACITY = 17
    NO_KEY = 18
    MISROUTED = 19
    SUBJECT_MISMATCH = 20
    UNDECODABLE = 21
    UNKNOWN_SCHEMA = 22
    TOO_LARGE = 23
    INVALID = 24
    FUTURE = 25
    TOMBSTONE = 26


class ConsentAction(IntEnum):
    """What is asked of a consent."""

    UNKNOWN = 0
    GRANT = 1
    REVOKE = 2
    CHANGE = 3
    ERASE = 4


class RequestedBy(IntEnum):
    """Who asks."""

    UNKNOWN = 0
    USER = 1
    BANK = 2
    CHANNEL = 3
    OPERATOR = 4


class ConsentOutcome(IntEnum):
    """What became of a consent request."""

    UNKNOWN = 0
    ACCEPTED = 1
    REFUSED = 2


class RefusalReason(IntEnum):
    """Why a consent request was refused. Source: `RefusalReason` in consent_result.avsc."""

    UNKNOWN = 0
    UNREADABLE = 1
    MISROUTED = 2
    SUBJECT_MISMATCH = 3
    NO_USER = 4
    NO_CONSENT_GIVEN = 5
    NO_PURPOSE = 6
    VALIDITY = 7
    NOT_GRANTED = 8
    VERSION_CONFLICT = 9
    TOO_MANY_HOLDERS = 10
    INVALID = 11
    REPLAYED = 12


class LinkAction(IntEnum):
    """What is asked of a link."""

    UNKNOWN = 0
    LINK = 1
    UNLINK = 2
    FORGET = 3


class LinkRequestedBy(IntEnum):
    """Who asks for a link or its end."""

    UNKNOWN = 0
    USER = 1
    CHANNEL = 2
    OPERATOR = 3


class LinkStatus(IntEnum):
    """Where a link stands."""

    UNKNOWN = 0
    LINKED = 1
    UNLINKED = 2


class LinkRefusal(IntEnum):
    """Why a link request was refused. Source: `LinkRefusal` in link_result.avsc."""

    UNKNOWN = 0
    UNREADABLE = 1
    MISROUTED = 2
    CHANNEL_MISMATCH = 3
    REPLAYED = 4
    NO_USER = 5
    INVALID = 6
    LINKED_TO_ANOTHER = 7
    TOO_MANY_SUBJECTS = 8
