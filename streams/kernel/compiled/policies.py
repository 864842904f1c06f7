"""Policies: what many consents share, stored once, with everything ready that does not depend on the event.

A policy is two slices of a consent as Avro wrote it (from `purposes` to `direction`, from `notice_id` to the
preferences). Imports `bytes_out`; `make_policy_row` uses the core, so that terms and projections have one
source. Read next: `index.py`.
"""

from typing import NamedTuple

import numpy as np

from streams.core.codes import Kind
from streams.core.project import FIELD_TAGS, KIND_FIELDS, NOTIFICATION_FIELDS, projections
from streams.core.terms import Terms
from streams.kernel.compiled.bytes_out import is_same
from streams.kernel.compiled.jit import compiled, inner
from streams.kernel.compiled.types import Bytes, Ints, Longs, whole

PURPOSES, DETAIL, DIRECTION, HAS_MINIMUM, MINIMUM, MINIMUM_CURRENCY = 0, 1, 2, 3, 4, 5
HAS_LOW, LOW, LOW_CURRENCY, PLACE_AND_ZONE, PLACE_AND_ZONE_SIZE = 6, 7, 8, 9, 10
SHOWN = 11
COLUMNS = SHOWN + len(Kind)
"""Columns of `number`: the terms, where locale and timezone stand (in `arena`), and by kind the set of
notification fields that are shown (bit i: the i-th field from `status` on)."""

POLICY_LIMIT = 1 << 16
"""Most policies; consents with further ones are stored whole. A policy that cannot be read has no detail."""

ANY_CURRENCY, NO_SUCH_CURRENCY = -1, -2

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class PolicyArrays(NamedTuple):
    """The policies as compiled functions take them; `used` holds their number."""

    arena: Bytes
    table: Ints
    place: Longs
    head_size: Ints
    tail_size: Ints
    number: Longs
    used: Longs


@inner
def _hash(source: Bytes, head: int, head_size: int, tail: int, tail_size: int) -> int:
    value = np.uint64(head_size)
    for index in range(head, head + head_size):
        value = (value ^ np.uint64(source[index])) * _MULTIPLIER
    for index in range(tail, tail + tail_size):
        value = (value ^ np.uint64(source[index])) * _MULTIPLIER
    return whole(value >> np.uint64(20))


@compiled
def find_policy(
    policies: PolicyArrays, source: Bytes, head: int, head_size: int, tail: int, tail_size: int
) -> int:
    """Return the number of a policy by its two slices of `source`, -1 if it is not known."""
    mask = policies.table.size - 1
    at = _hash(source, head, head_size, tail, tail_size) & mask
    while True:
        policy = whole(policies.table[at])
        if policy < 0:
            return -1
        place = policies.place[policy]
        if policies.head_size[policy] == head_size and policies.tail_size[policy] == tail_size:
            if is_same(policies.arena, place, source, head, head_size) and is_same(
                policies.arena, place + head_size, source, tail, tail_size
            ):
                return policy
        at = (at + 1) & mask


@compiled
def enter_policy(policies: PolicyArrays, policy: int) -> None:
    """Enter a policy whose bytes and sizes are set."""
    place, size = policies.place[policy], policies.head_size[policy]
    mask = policies.table.size - 1
    at = _hash(policies.arena, place, size, place + size, policies.tail_size[policy]) & mask
    while policies.table[at] >= 0:
        at = (at + 1) & mask
    policies.table[at] = policy


def currency_code(currency: str | None) -> int:
    """Return a currency as a number: its three bytes, ANY_CURRENCY for None."""
    if currency is None:
        return ANY_CURRENCY
    data = currency.encode("utf-8", "surrogatepass")
    return int.from_bytes(data, "big") if len(data) == 3 else NO_SUCH_CURRENCY


def shown_fields(purposes: int, detail_level: int, kind: Kind) -> int:
    """Return the set of notification fields that these terms show of a kind, as bits from `status` on."""
    projection = projections(purposes, detail_level)[kind]
    if projection is None:
        return 0
    shown = 0
    for number, name in enumerate(NOTIFICATION_FIELDS):
        purpose_bits, least = FIELD_TAGS.get(name, (0, 0))
        if name in KIND_FIELDS[kind] and purposes & purpose_bits and detail_level >= least:
            shown |= 1 << number
    return shown


def policy_row(terms: Terms, place_and_zone: int, place_and_zone_size: int) -> list[int]:
    """Return the columns of a policy with these terms."""
    return [
        terms.purposes,
        terms.detail_level,
        terms.direction,
        int(terms.min_amount_minor is not None),
        terms.min_amount_minor or 0,
        currency_code(terms.min_currency),
        int(terms.low_balance_minor is not None),
        terms.low_balance_minor or 0,
        currency_code(terms.low_currency),
        place_and_zone,
        place_and_zone_size,
        *(shown_fields(terms.purposes, terms.detail_level, kind) for kind in Kind),
    ]
