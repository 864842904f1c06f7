"""What another policy would have told: both decide the same records, and the difference is counted.

Imports `rerun`, kafka and core. Read next: `streams/cli/simulate.py`.
"""

import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.core.codes import DetailLevel, Kind
from streams.errors import ConfigurationError
from streams.kafka.policy_settings import policy_of
from streams.kernel.batch_result import BatchResult
from streams.ops.history import Span
from streams.ops.rerun import partitions_of, rerun
from streams.ops.snapshots import newest_before
from streams.settings import Settings
from streams.wire.codec import DecisionRow, decode_notification
from streams.wire.schemas import our_schemas

POLICY_FIELDS = (
    "max_age_security_s",
    "max_age_balance_s",
    "max_age_receipt_s",
    "max_age_shipping_s",
    "future_tolerance_s",
    "consent_profile",
)
DETAIL_FIELDS = tuple(
    field["name"]
    for field in our_schemas().current("notification").avro["fields"]
    if field["min_detail"] != DetailLevel.ACTIVITY_ONLY.name
)
SAMPLES = 5
MAX_FILE_BYTES = 65_536


@dataclass
class Difference:
    """What the new policy tells more (`more`) and less (`less`), by kind, with ids of some events.

    `wider` counts what both tell, the new one with a field of the data that the old one left out or that is
    another; `is_less_private`: there is anything of `more` or `wider`.
    """

    batches: int = 0
    same: int = 0
    more: Counter[str] = field(default_factory=Counter)
    wider: Counter[str] = field(default_factory=Counter)
    less: Counter[str] = field(default_factory=Counter)
    more_samples: list[str] = field(default_factory=list)
    less_samples: list[str] = field(default_factory=list)

    @property
    def is_less_private(self) -> bool:
        """Tell whether anybody is told anything more, without a new grant: the grants are the same."""
        return bool(self.more or self.wider)


def with_policy(settings: Settings, path: Path) -> Settings:
    """Return the settings with the policy of a file: TOML, names of settings without NOTIFIER_, lower case.

    Raises:
        ConfigurationError: the file cannot be read, or names something that is no part of the policy.
    """
    try:
        with path.open("rb") as file:
            values: dict[str, Any] = tomllib.loads(file.read(MAX_FILE_BYTES).decode())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}.") from error
    strangers = sorted(set(values) - set(POLICY_FIELDS))
    if strangers:
        raise ConfigurationError(
            f"{path}: {', '.join(strangers)} is no part of the policy, which is {', '.join(POLICY_FIELDS)}."
        )
    known = {item: getattr(settings, item) for item in settings.__slots__}
    return Settings.from_env({}, **{**known, **{name: str(value) for name, value in values.items()}})


async def difference(
    old: Settings, new: Settings, span: Span, progress: Callable[[int, int], None] | None = None
) -> Difference:
    """Decide what was decided in a span with both policies, and count what differs.

    Raises:
        CheckFailedError: a topic is too short to decide again.
    """
    found = Difference()
    partitions = await partitions_of(old)
    policies = [policy_of(old), policy_of(new)]
    start = await newest_before(old, span.since_ms)
    for partition in range(partitions):
        async for one in rerun(old, partition, partitions, policies, start):
            if span.since_ms <= one.batch.decided_at <= span.until_ms:
                found.batches += 1
                _compare(found, *one.results)
        if progress is not None:
            progress(partition + 1, partitions)
    return found


def _compare(found: Difference, before: BatchResult, after: BatchResult) -> None:
    told, tells = _told(before), _told(after)
    shown, shows = _shown(before), _shown(after)
    for place in told.keys() & tells.keys():
        old, new = shown.get(told[place].notification_id, {}), shows.get(tells[place].notification_id, {})
        found.same += 1
        if any(value is not None and old.get(name) != value for name, value in new.items()):
            found.wider[Kind(tells[place].kind or 0).name] += 1
    for one, other, counts, samples in (
        (tells, told, found.more, found.more_samples),
        (told, tells, found.less, found.less_samples),
    ):
        for place in one.keys() - other.keys():
            row = one[place]
            counts[Kind(row.kind or 0).name] += 1
            if len(samples) < SAMPLES and row.event_id is not None:
                samples.append(row.event_id)


def _shown(result: BatchResult) -> dict[str | None, dict[str, Any]]:
    """Return what each notification shows of the data that needs a level of detail, by its id."""
    found: dict[str | None, dict[str, Any]] = {}
    for output in result.outputs:
        told = decode_notification(output.value)
        found[told.notification_id] = {name: getattr(told, name) for name in DETAIL_FIELDS}
    return found


def _told(result: BatchResult) -> dict[tuple[str, int, str | None], DecisionRow]:
    """Return who was told of which record; a notification with other content has another id."""
    return {
        (row.topic, row.offset, row.holder): row for row in result.rows if row.notification_id is not None
    }
