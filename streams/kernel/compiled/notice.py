"""Writes the notification that follows from a NOTIFY, and the record that carries it.

The compiled side of `core/notice.py` and `wire/headers.py`. Imports `layout`, `index` and `policies`. Read
next: `join.py`. Source: docs/rules.md section 7; notification.avsc.
"""

import numpy as np

from streams.core.codes import Kind, Purposes
from streams.core.project import NOTIFICATION_FIELDS
from streams.core.steps import GO_ON_ETA
from streams.kernel.compiled import policies as of_policy
from streams.kernel.compiled import tables as of_table
from streams.kernel.compiled.bytes_out import (
    decimal_size,
    get_number,
    put_bytes,
    put_decimal,
    put_long,
    put_sized,
)
from streams.kernel.compiled.fields import has_many_digits
from streams.kernel.compiled.hashes import murmur2, sha1_uuid5
from streams.kernel.compiled.index import POLICY, VERSION, IndexArrays
from streams.kernel.compiled.jit import inlined
from streams.kernel.compiled.layout import (
    AMOUNT,
    BALANCE,
    BANK,
    BOOKED,
    CARRIER,
    DAY_MS,
    DELIVERIES,
    ETA_AT,
    EVENT_TYPE,
    HEADERS,
    ID_SIZE,
    LIFECYCLE,
    MAX_AGE,
    NOW,
    ORIGINAL_AMOUNT,
    OUT_COUNT,
    OUT_USED,
    SECURITY,
    SHIPMENT,
    SHIPMENT_ID,
    STATUS,
    TRACEPARENT_SIZE,
    Call,
    Outputs,
    Scratch,
)
from streams.kernel.compiled.policies import PolicyArrays
from streams.kernel.compiled.rows import put_name
from streams.kernel.compiled.tables import Tables
from streams.kernel.compiled.types import Bytes

_ORIGINAL_CURRENCY_SHOWN = NOTIFICATION_FIELDS.index("original_currency")
_RECEIPT_PURPOSE = int(Purposes.RECEIPT)
_DECLINED_KIND, _BALANCE_KIND = int(Kind.DECLINED), int(Kind.BALANCE)
_SHIPPING_KIND, _SECURITY_KIND = int(Kind.SHIPPING), int(Kind.SECURITY)
_ID_HEADER = np.frombuffer(b"\x0ace_id\x48", np.uint8)
_SOURCE_HEADER = np.frombuffer(b"\x1enotifier.source", np.uint8)
_TRACE_HEADER_SIZED = np.frombuffer(b"\x16traceparent\x6e", np.uint8)


@inlined
def _put_date(out: Bytes, at: int, day: int) -> int:
    """Write a day since 1970 as YYYY-MM-DD. Source: Howard Hinnant, civil_from_days."""
    shifted = day + 719_468
    era = shifted // 146_097
    day_of_era = shifted - era * 146_097
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day_of_month = day_of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    for index in range(4):
        out[at + 3 - index] = 48 + year // 10**index % 10
    out[at + 4], out[at + 7] = 45, 45
    out[at + 5], out[at + 6] = 48 + month // 10, 48 + month % 10
    out[at + 8], out[at + 9] = 48 + day_of_month // 10, 48 + day_of_month % 10
    return at + 10


@inlined
def identify(
    call: Call, tables: Tables, source: Bytes, scratch: Scratch, key_place: int, key_size: int, kind: int,
    answer: int,
) -> int:  # fmt: skip
    """Write the notification's id into `scratch.text` and return where. Source: `core/notice.py`."""
    text, event_type = scratch.text, call.number[EVENT_TYPE]
    at = put_bytes(text, 0, scratch.person, 0, scratch.person_size[0])
    text[at] = 31
    at = put_bytes(text, at + 1, source, key_place, key_size)
    text[at] = 31
    at = put_name(text, at + 1, tables.kind_name, kind)
    text[at] = 31
    field = of_table.EVENT_ID
    if event_type == BANK and not scratch.is_null[LIFECYCLE]:
        field = LIFECYCLE
    elif event_type == SHIPMENT:
        field = SHIPMENT_ID
    at = put_bytes(text, at + 1, source, scratch.place[field], scratch.size[field])
    if event_type != SECURITY:
        text[at] = 31
        at += 1
    if event_type == BANK:
        at = put_name(text, at, tables.transaction_status, scratch.number[STATUS])
        text[at] = 31
        at = put_decimal(text, at + 1, scratch.number[AMOUNT])
    elif event_type == BALANCE:
        at = put_decimal(text, at, scratch.number[BOOKED])
    elif event_type == SHIPMENT:
        at = put_name(text, at, tables.shipment_status, scratch.number[STATUS])
        text[at] = 31
        if answer == GO_ON_ETA:
            eta = 0 if scratch.is_null[ETA_AT] else scratch.number[ETA_AT]
            at = _put_date(text, at + 1, eta // DAY_MS)
        else:
            at = put_decimal(text, at + 1, scratch.number[of_table.TIME_FIELD[SHIPMENT]])
    sha1_uuid5(text, at, text, at, scratch.sha1)
    return at


@inlined
def _put_subject_label(out: Bytes, at: int, source: Bytes, place: int, size: int) -> int:
    """Write the masked name of an ASCII subject. Source: `subject_label` in `core/project.py`."""
    colon = 0
    while colon < size and source[place + colon] != 58:
        colon += 1
    shown = min(colon, 16)
    token = max(size - colon - 1, 0)
    has_token = token >= 8
    at = put_long(out, at, shown + (8 if has_token else 0))
    at = put_bytes(out, at, source, place, shown)
    if has_token:
        out[at], out[at + 1], out[at + 2], out[at + 3] = 32, 0xE2, 0x80, 0xA6
        at = put_bytes(out, at + 4, source, place + size - 4, 4)
    return at


@inlined
def _last_chars(source: Bytes, place: int, size: int, chars: int) -> int:
    """Return how many bytes the last `chars` characters of a valid UTF-8 text take."""
    taken = 0
    while taken < size and chars > 0:
        taken += 1
        if source[place + size - taken] & 0xC0 != 0x80:
            chars -= 1
    return taken


@inlined
def _put_shipment_label(out: Bytes, at: int, source: Bytes, scratch: Scratch) -> int:
    """Write carrier and masked parcel id. Source: `shipment_label` in `core/project.py`."""
    carrier = 0 if scratch.is_null[CARRIER] else scratch.size[CARRIER]
    place, size = scratch.place[SHIPMENT_ID], scratch.size[SHIPMENT_ID]
    tail = _last_chars(source, place, size, 4) if scratch.chars[SHIPMENT_ID] >= 8 else 0
    at = put_long(out, at, (carrier + 1 if carrier else 0) + 3 + tail)
    if carrier:
        at = put_bytes(out, at, source, scratch.place[CARRIER], carrier)
        out[at] = 32
        at += 1
    out[at], out[at + 1], out[at + 2] = 0xE2, 0x80, 0xA6
    return put_bytes(out, at + 3, source, place + size - tail, tail)


@inlined
def _put_shown(
    out: Bytes, at: int, tables: Tables, event_type: int, shown: int, source: Bytes, scratch: Scratch
) -> int:
    """Write the notification's fields from `status` on, null for what the event lacks or may not show."""
    for number in range(tables.how.shape[1]):
        how = tables.how[event_type, number]
        field = tables.source[event_type, number]
        is_shown = how != of_table.NO_SOURCE and shown >> number & 1 == 1
        if is_shown and how != of_table.LABEL and scratch.is_null[field]:
            is_shown = False
        if number == _ORIGINAL_CURRENCY_SHOWN and event_type == BANK and scratch.is_null[ORIGINAL_AMOUNT]:
            is_shown = False
        if not is_shown:
            out[at] = 0
            at += 1
            continue
        out[at] = 2
        at += 1
        if how == of_table.NUMBER:
            at = put_long(out, at, scratch.number[field])
        elif how == of_table.TEXT:
            at = put_sized(out, at, source, scratch.place[field], scratch.size[field])
        elif how == of_table.FLAG:
            out[at] = scratch.number[field]
            at += 1
        else:
            at = _put_shipment_label(out, at, source, scratch)
    return at


@inlined
def must_mask(tables: Tables, event_type: int, shown: int, source: Bytes, scratch: Scratch) -> bool:
    """Tell whether a text that is shown may hold a number to be masked, which the Python path does."""
    for number in range(tables.how.shape[1]):
        how = tables.how[event_type, number]
        if shown >> number & 1 == 0 or (how != of_table.TEXT and how != of_table.LABEL):
            continue
        field = CARRIER if how == of_table.LABEL else tables.source[event_type, number]
        if not scratch.is_null[field] and has_many_digits(source, scratch.place[field], scratch.size[field]):
            return True
    return False


@inlined
def _purpose_of(kind: int, purposes: int) -> int:
    """Return the purpose a notification is for. Source: `_purpose` in `core/project.py`."""
    if kind == _DECLINED_KIND:
        return 2 if purposes & _RECEIPT_PURPOSE else 4
    if kind == _BALANCE_KIND:
        return 1
    if kind == _SHIPPING_KIND:
        return 3
    if kind == _SECURITY_KIND:
        return 4
    return 2


@inlined
def put_notification(
    call: Call, tables: Tables, index: IndexArrays, policies: PolicyArrays, source: Bytes, scratch: Scratch,
    frame: Bytes, holder: int, key_place: int, key_size: int, kind: int, event_time: int, id_place: int,
) -> int:  # fmt: skip
    """Write a notification with its frame into `scratch.body`; return its size."""
    arena, out, now = index.arena, scratch.body, call.number[NOW]
    person, user_size, consent_size = scratch.person, scratch.person_size[0], scratch.person_size[1]
    policy = get_number(arena, holder + POLICY, 2)
    number = policies.number
    at = put_bytes(out, 0, frame, 0, frame.size)
    at = put_sized(out, at, scratch.text, id_place, ID_SIZE)
    at = put_sized(out, at, person, 0, user_size)
    at = put_sized(out, at, person, user_size + consent_size, scratch.person_size[2])
    out[at] = 2 * kind
    out[at + 1] = 2 * _purpose_of(kind, number[policy, of_policy.PURPOSES])
    at = put_name(out, at + 2, tables.template, kind)
    out[at] = 2 * number[policy, of_policy.DETAIL]
    at = put_bytes(
        out, at + 1, policies.arena, number[policy, of_policy.PLACE_AND_ZONE],
        number[policy, of_policy.PLACE_AND_ZONE_SIZE],
    )  # fmt: skip
    at = put_long(out, at, tables.priority[kind])
    out[at] = 2
    at = put_long(out, at + 1, event_time)
    at = put_long(out, at, now)
    at = put_long(out, at, event_time)
    at = put_long(out, at, event_time + call.number[MAX_AGE + kind])
    at = put_sized(out, at, source, scratch.place[0], scratch.size[0])
    at = _put_subject_label(out, at, source, key_place, key_size)
    at = put_sized(out, at, person, user_size, consent_size)
    at = put_long(out, at, get_number(arena, holder + VERSION, 2))
    shown = number[policy, of_policy.SHOWN + kind]
    return _put_shown(out, at, tables, call.number[EVENT_TYPE], shown, source, scratch)


@inlined
def put_output(
    call: Call, source: Bytes, scratch: Scratch, outputs: Outputs, size: int, id_place: int, offset: int,
    trace: int, time: int, order: int,
) -> None:  # fmt: skip
    """Write the record of a notification from its key on; what stands before it follows from its place."""
    out, counter, user_size = outputs.out, outputs.counter, scratch.person_size[0]
    number = counter[OUT_COUNT]
    at = put_sized(out, counter[OUT_USED], scratch.person, 0, user_size)
    at = put_sized(out, at, scratch.body, 0, size)
    out[at] = 2 * (HEADERS + (1 if trace >= 0 else 0))
    at = put_bytes(out, at + 1, call.headers, 0, call.headers.size)
    at = put_bytes(out, at, _ID_HEADER, 0, _ID_HEADER.size)
    at = put_bytes(out, at, scratch.text, id_place, ID_SIZE)
    at = put_bytes(out, at, _SOURCE_HEADER, 0, _SOURCE_HEADER.size)
    at = put_long(out, at, call.source.size + decimal_size(offset))
    at = put_bytes(out, at, call.source, 0, call.source.size)
    at = put_decimal(out, at, offset)
    if trace >= 0:
        at = put_bytes(out, at, _TRACE_HEADER_SIZED, 0, _TRACE_HEADER_SIZED.size)
        at = put_bytes(out, at, source, trace, TRACEPARENT_SIZE)
    counter[OUT_USED] = at
    counter[OUT_COUNT] = number + 1
    outputs.out_at[number + 1] = at
    outputs.out_order[number] = order
    outputs.out_time[number] = time
    outputs.out_partition[number] = murmur2(scratch.person, 0, user_size) % call.number[DELIVERIES]
