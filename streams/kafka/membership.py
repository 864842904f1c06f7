"""Membership of a consumer group: how long things may take, and whether the group still counts on a member.

Imports the Kafka client, `settings` and `errors`. Read next: `transport.py`, `link_stage.py`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import (
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.protocol.group import HeartbeatRequest

from streams.errors import FencedError, OutcomeUnknownError
from streams.settings import Settings

REQUEST_TIMEOUT_S = 40.0
LONGEST_REBALANCE_S = 60.0
SLACK_S = 5.0  # for what goes with letting go, and for the answer to a join that waits for others
_NO_MEMBER = (IllegalGenerationError, UnknownMemberIdError)


def rebalance_timeout_s(settings: Settings) -> float:
    """Return how long a rebalance waits for a member: until it has heard of it and let go of its work."""
    heard_s = settings.heartbeat_interval_ms / 1000
    return min(heard_s + settings.drain_timeout_s + SLACK_S, LONGEST_REBALANCE_S)


def request_timeout_s(settings: Settings) -> float:
    """Return how long a member waits for an answer: a join is answered when the rebalance ends."""
    return max(REQUEST_TIMEOUT_S, rebalance_timeout_s(settings) + SLACK_S)


async def is_member(consumer: Any) -> bool:
    """Ask the group's coordinator whether the assignment of an aiokafka consumer still counts.

    Raises:
        aiokafka.errors.KafkaError: it did not answer, or is another broker by now.
    """
    group = consumer._coordinator  # noqa: SLF001  # aiokafka tells nobody what it knows
    answer = await group._send_req(HeartbeatRequest(group.group_id, group.generation, group.member_id))  # noqa: SLF001  # as above
    error = for_code(answer.error_code)
    if error in _NO_MEMBER:
        return False
    if answer.error_code and error is not RebalanceInProgressError:  # it lasts until this member joins
        raise error
    return True


async def check_membership(ask: Callable[[], Awaitable[bool]]) -> None:
    """Ask the group before fencing others: whoever woke up late must not stop the rightful owner.

    Raises:
        FencedError: another member owns the partition by now, or will.
        OutcomeUnknownError: the group did not answer.
    """
    try:
        is_still = await ask()
    except (KafkaError, TimeoutError) as error:
        raise OutcomeUnknownError(f"{type(error).__name__} from the group; trying again") from error
    if not is_still:
        raise FencedError("the group goes on without this worker")
