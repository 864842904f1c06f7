"""What the group member asks of Kafka follows from the settings."""

import asyncio
from typing import Any, cast

import pytest

from streams.agents.app import build_app
from streams.kafka.worker_connections import Connections
from streams.settings import Settings


class Shared:
    """What an app needs of its connections until it is started."""

    partitions = 4

    def __init__(self, settings: Settings) -> None:
        self.settings = settings


@pytest.mark.parametrize(
    ("drain_s", "rebalance_ms", "request_ms"), [(20, 26_500, 40_000), (120, 60_000, 65_000)]
)
def test_a_rebalance_waits_for_a_member_as_long_as_it_may_drain_and_the_answer_is_waited_for(
    drain_s: int, rebalance_ms: int, request_ms: int
) -> None:
    settings = Settings.from_env({"NOTIFIER_DRAIN_TIMEOUT_S": str(drain_s)})

    async def limits_ms() -> tuple[int, int]:
        app = build_app(settings, cast("Connections", Shared(settings)))
        thread: Any = app.consumer._new_consumer_thread()  # type: ignore[attr-defined]  # Faust's protocol hides it
        member = thread._create_worker_consumer(None)
        await member.stop()
        return member._rebalance_timeout_ms, member._client._request_timeout_ms

    assert asyncio.run(limits_ms()) == (rebalance_ms, request_ms)
