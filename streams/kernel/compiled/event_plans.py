"""How the values of each event topic are read: a table per version of its schema, and the limits of fields.

Imports `fields`, `limits` and `wire.schemas`. Read next: `join.py`.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from streams.core.events import EVENT_TYPES
from streams.kernel.compiled.fields import FieldPlan, make_plan
from streams.kernel.compiled.limits import EventLimits, event_limits
from streams.kernel.compiled.types import Ints, Longs
from streams.wire.event_codec import EVENT_SCHEMAS
from streams.wire.schemas import Json, our_schemas


class VersionPlans(NamedTuple):
    """The plans of several versions, one after another; that of version `v` begins at `step_at[v]`."""

    steps: Ints
    symbols: Longs
    defaults: Longs
    step_at: Longs
    default_at: Longs


class EventPlan(NamedTuple):
    """How one topic's values are read; `frames` are the schema ids of the versions, in the plans' order."""

    plans: VersionPlans
    frames: Longs
    limits: EventLimits


def stack(plans: list[FieldPlan]) -> VersionPlans:
    """Put plans one after another."""
    steps, symbols = [], []
    shift = 0
    for plan in plans:
        moved = plan.steps.copy()
        moved[:, 3] += shift
        steps.append(moved)
        symbols.append(plan.symbols)
        shift += plan.symbols.size
    return VersionPlans(
        np.concatenate(steps),
        np.concatenate(symbols),
        np.concatenate([plan.defaults for plan in plans]),
        np.cumsum([0, *(len(plan.steps) for plan in plans)], dtype=np.int64),
        np.cumsum([0, *(len(plan.defaults) for plan in plans)], dtype=np.int64),
    )


def event_plan(event_type: int, versions: list[tuple[int, Json]], current: Json) -> EventPlan:
    """Return how events are read that were written with these versions, (schema id, schema) each.

    A version that the table cannot express is left out: its values take the Python path.
    """
    made = [(number, make_plan(writer, current)) for number, writer in versions]
    known = [(number, plan) for number, plan in made if plan is not None]
    return EventPlan(
        stack([plan for _, plan in known]),
        np.array([number for number, _ in known], np.int64),
        event_limits(event_type),
    )


@cache
def event_plans() -> tuple[EventPlan, ...]:
    """Return the plans of our schemas, by event type."""
    schemas = our_schemas()
    return tuple(
        event_plan(
            number,
            [(version.id, version.avro) for version in schemas.versions[EVENT_SCHEMAS[cls]]],
            schemas.current(EVENT_SCHEMAS[cls]).avro,
        )
        for number, cls in enumerate(EVENT_TYPES)
    )
