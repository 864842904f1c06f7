"""The core's tables as arrays: rules, kinds, names, and which event field fills which notification field.

Everything is made from the core at import; nothing is stated twice. Imports the core and `wire.varint`. Read
next: `join.py`.
"""

from collections.abc import Sequence
from typing import NamedTuple, get_args, get_type_hints

import numpy as np

from streams.core.codes import Fate, Kind, Reason, ShipmentStatus, TransactionStatus
from streams.core.events import EVENT_TYPES, ShipmentUpdate
from streams.core.policy import EVENT_PURPOSES, KIND_OF_TRANSACTION, KINDS, SEEN_SLACK_MS, Policy
from streams.core.project import NOTIFICATION_FIELDS, source_field
from streams.core.rules import HOLDER_RULES, RECORD_RULES
from streams.kernel.compiled.types import Bytes, Ints, Longs
from streams.wire.varint import write_string

NO_SOURCE, NUMBER, TEXT, FLAG, LABEL = range(5)
"""How a notification field is written: not at all, as a long or enum, as a string, as a boolean, as the
parcel's label."""

GATE, SEEN_RULE = len(HOLDER_RULES), len(HOLDER_RULES) + 1
"""Places in the names of rules of the two record rules that the kernel applies."""

FATES, REASONS, KIND_COUNT = len(Fate), len(Reason) + 1, len(Kind) + 1
"""Sizes of counts; a reason or kind of None counts at the last place."""

EVENT_ID, SUBJECT = 0, 1
TIME_FIELD = tuple(
    cls._fields.index(name)
    for cls, name in zip(EVENT_TYPES, ("occurred_at", "as_of", "occurred_at", "status_at"), strict=True)
)


class Names(NamedTuple):
    """Short texts, one after another: text `i` stands from `at[i]` to `at[i + 1]`."""

    data: Bytes
    at: Longs


class Tables(NamedTuple):
    """What never changes.

    Attributes:
        rule: names of HOLDER_RULES, then of the gate and of `seen`, as Avro strings.
        rule_fate, rule_reason: by place in HOLDER_RULES; the reason is REASONS - 1 for none.
        needed, priority, threshold: by kind.
        kind_name: names of kinds, as in an id.
        template: template keys of kinds, as Avro strings.
        transaction_status, shipment_status: names, as in an id.
        kind_of_transaction: by status.
        event_purposes: by event type.
        source: by event type and notification field (from `status` on): the event's field.
        how: by event type and notification field: how it is written.
    """

    rule: Names
    rule_fate: Ints
    rule_reason: Ints
    needed: Longs
    priority: Longs
    threshold: Longs
    kind_name: Names
    template: Names
    transaction_status: Names
    shipment_status: Names
    kind_of_transaction: Ints
    event_purposes: Longs
    source: Ints
    how: Ints


def names(texts: Sequence[bytes]) -> Names:
    """Return texts as one array."""
    at = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    return Names(np.frombuffer(b"".join(texts) + b"\0", dtype=np.uint8), at)


def _how(event_type: int, name: str) -> int:
    cls = EVENT_TYPES[event_type]
    if name == "shipment_label":
        return LABEL if cls is ShipmentUpdate else NO_SOURCE
    field = source_field(event_type, name)
    if field is None:
        return NO_SOURCE
    types = {*get_args(get_type_hints(cls)[cls._fields[field]])} or {get_type_hints(cls)[cls._fields[field]]}
    return TEXT if str in types else FLAG if bool in types else NUMBER


def _make() -> Tables:
    shown = NOTIFICATION_FIELDS
    rules = [rule.name for rule in HOLDER_RULES] + ["gate", "seen"]
    assert {"gate", "seen"} <= {rule.name for rule in RECORD_RULES}
    return Tables(
        names([write_string(name) for name in rules]),
        np.array([rule.fate for rule in HOLDER_RULES], np.int32),
        np.array([REASONS - 1 if rule.reason is None else rule.reason for rule in HOLDER_RULES], np.int32),
        np.array([kind.purposes for kind in KINDS], np.int64),
        np.array([kind.priority for kind in KINDS], np.int64),
        np.array([kind.threshold for kind in KINDS], np.int64),
        names([kind.name.encode() for kind in KINDS]),
        names([write_string(kind.template_key) for kind in KINDS]),
        names([status.name.encode() for status in TransactionStatus]),
        names([status.name.encode() for status in ShipmentStatus]),
        np.array(KIND_OF_TRANSACTION, np.int32),
        np.array(EVENT_PURPOSES, np.int64),
        np.array(
            [[source_field(number, name) or 0 for name in shown] for number in range(len(EVENT_TYPES))],
            np.int32,
        ),
        np.array([[_how(number, name) for name in shown] for number in range(len(EVENT_TYPES))], np.int32),
    )


TABLES = _make()


def policy_numbers(policy: Policy) -> Longs:
    """Return the operator's numbers as `join` takes them: see the places in `layout.py`."""
    return np.array(
        [
            policy.future_tolerance_ms,
            policy.largest_max_age_ms + SEEN_SLACK_MS,
            policy.seen_limit,
            policy.told_limit,
            *policy.max_age_ms,
        ],
        np.int64,
    )
