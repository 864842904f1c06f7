"""What the error codes in Kafka's answers mean for a transaction. Read next: `transaction_requests.py`."""

from collections.abc import Iterable
from typing import Any

from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    InvalidProducerEpoch,
    OperationNotAttempted,
    ProducerFenced,
    for_code,
)

NOT_YET = (ConcurrentTransactions, CoordinatorLoadInProgressError)
"""Nothing was done, and the same broker may do it a moment later."""
_FENCE_CODES = {InvalidProducerEpoch.errno, 90}  # 90: PRODUCER_FENCED, which aiokafka does not know by number


def partition_codes(answer: Any) -> list[int]:
    """Return the code of each partition in an answer that has them by topic."""
    return [code for _, partitions, *_ in answer.errors for _, code, *_ in partitions]


def single_code(answer: Any) -> list[int]:
    """Return the one code of an answer that has no other."""
    return [answer.error_code]


def first_code(codes: Iterable[int]) -> int:
    """Return the first error that says something, 0 if there is none."""
    return next((code for code in codes if code not in {0, OperationNotAttempted.errno}), 0)


def is_refused_for_now(code: int) -> bool:
    """Tell whether the same request may be accepted by the same broker a little later."""
    error = for_code(code)
    return issubclass(error, NOT_YET) or (error.retriable and not error.invalid_metadata)


def raise_for(code: int) -> None:
    """Raise what a code means, nothing for 0."""
    if code in _FENCE_CODES:
        raise ProducerFenced
    if code:
        raise for_code(code)
