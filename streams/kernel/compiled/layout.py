"""What the parts of the join share: places in arrays, columns of events, and the arrays themselves.

Imports `tables`. Read next: `join.py`.
"""

from typing import Any, NamedTuple

from streams.core.codes import Kind
from streams.kernel.compiled.tables import REASONS
from streams.kernel.compiled.types import Bytes, Ints, Longs

EVENT_TYPE, NOW, PARTITION, PARTITIONS, DELIVERIES, IS_REPLAY, MAX_VALUE, ORDER = range(8)
FUTURE_TOLERANCE, REMEMBER_MS, SEEN_LIMIT, TOLD_LIMIT, MAX_AGE = range(8, 13)
"""Places in `Call.number`; from MAX_AGE on the ages by kind."""

OUT_USED, OUT_COUNT, ROWS_USED, ROW_COUNT, RUNS_USED, RUN_COUNT, SURVIVORS, RUN_OPEN = range(8)
RUN_FIRST, RUN_LAST, RUN_RECORDS, RUN_TOTAL = range(8, 12)
OUTPUT_COUNTERS = 12
"""Places in `Outputs.counter`."""

ID_SIZE, TRACEPARENT_SIZE = 36, 55
HEADERS = 8
"""Headers of a notification without a traceparent."""

BANK, BALANCE, SECURITY, SHIPMENT = range(4)
"""Event types, the order of `core.events.EVENT_TYPES`."""

STATUS, AMOUNT, CURRENCY, LIFECYCLE, ORIGINAL_AMOUNT = 3, 4, 5, 6, 8
BOOKED, BALANCE_CURRENCY = 3, 4
SHIPMENT_ID, CARRIER, ETA_AT, CORRECTION_OF = 2, 6, 7, 10
"""Columns of an event's fields: of transactions (STATUS of parcels too), balances and parcels."""

DAY_MS = 86_400_000
NO_REASON, NO_KIND = REASONS - 1, len(Kind)
"""Codes that stand for no reason and no kind."""


class Call(NamedTuple):
    """What holds for all records of one topic in one decision.

    Attributes:
        number: see the places above.
        topic: its name as an Avro string.
        headers: the headers that every notification of this decision has, encoded; HEADERS counts
            them and the two that differ.
        source: the text `topic/partition/`.
        frames: schema ids of the versions that `plans` read.
    """

    number: Longs
    topic: Bytes
    headers: Bytes
    source: Bytes
    frames: Longs


FATE, REASON, RULE, KIND, HOLDER, ID_PLACE, VERDICT = range(7)
"""Places in `Scratch.verdict`, and its size: the decision of one record. HOLDER is where the fixed part of
the holder's consent stands (-1: none was asked), ID_PLACE where the notification's id stands in
`Scratch.text` (-1: nothing is told, -2: the value was not even opened)."""

NOT_OPENED = -2


class Scratch(NamedTuple):
    """One event's fields (see `fields.py`), room for texts, the decision, and the one holder.

    `person` holds user, consent id and channel, one after another, `person_size` their sizes.
    """

    number: Longs
    place: Ints
    size: Ints
    chars: Ints
    is_null: Bytes
    text: Bytes
    body: Bytes
    sha1: Any
    sha256: Any
    blake2b: Any
    verdict: Longs
    person: Bytes
    person_size: Ints


class Outputs(NamedTuple):
    """What `join` writes; parallel columns describe the outputs, the rows and the survivors.

    `fates` (of records) and `holder_fates` are counts indexed by fate, reason and kind.
    """

    out: Bytes
    out_at: Longs
    out_order: Longs
    out_partition: Ints
    out_time: Longs
    rows: Bytes
    row_at: Longs
    row_order: Longs
    runs: Bytes
    survivors: Longs
    counter: Longs
    fates: Longs
    holder_fates: Longs
