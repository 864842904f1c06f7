"""Every exception of ours, in one tree. May be imported by every room but the core, whose faults are values.

    NotifierError                 action, exit_code
    +-- CheckFailedError          STOP   1  a check ran and found something
    +-- OversizedBatchError       STOP   1  a record batch unpacks to more than a worker takes
    +-- KafkaUnreachableError     RETRY  3  no broker answers
    +-- FencedError               STOP   3  another worker owns this partition number now
    +-- StandstillError           RETRY  3  a worker that does not get on: it starts anew
    +-- DeadLetterBreakerError    STOP   1  too much of what came in went to dead letters
    +-- OutcomeUnknownError       RETRY  3  a commit got no answer: read back what happened
        +-- LateWriteError        RETRY  3  decided too long ago to be written: decide again
        +-- TornTransactionError  RETRY  3  only a person can tell how a transaction ended
    +-- ConfigurationError        STOP   4  settings that cannot work
        +-- BrokerInstallError    STOP   4  the embedded broker's parts are missing or altered
        +-- CredentialsError      STOP   4  Kafka refused who we are or what we want
        +-- SchemaError           STOP   4  a schema that breaks its rules, or an id nobody knows
        +-- TopicError            STOP   4  a topic is missing or not what the table says

A message says what happened, where (topic, partition, offset: never a value) and what to do next. A fault in
a record is no exception at all: it is a reject with a reason (`streams/core`).
"""

from enum import Enum
from typing import ClassVar


class Action(Enum):
    """What the shell that catches an error does with the work at hand."""

    STOP = "stop"
    RETRY = "retry"
    REJECT = "reject"


class NotifierError(Exception):
    """Root of the tree: `message` for a person, `action` for the shell, `exit_code` for the command line."""

    action: ClassVar[Action] = Action.STOP
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class CheckFailedError(NotifierError):
    """A check (schema lint, conservation, doctor) ran to its end and found something wrong."""


class OversizedBatchError(NotifierError):
    """A record batch unpacks to more bytes than a worker takes into memory."""


class KafkaUnreachableError(NotifierError):
    """No broker answers at the bootstrap address."""

    action = Action.RETRY
    exit_code = 3


class FencedError(NotifierError):
    """Another worker owns this partition number: nothing of ours may be written any more."""

    exit_code = 3


class StandstillError(NotifierError):
    """A worker that stands still with records before it, or has lost its place: starting anew mends it."""

    action = Action.RETRY
    exit_code = 3


class DeadLetterBreakerError(NotifierError):
    """More of the last records went to dead letters than the settings allow."""


class OutcomeUnknownError(NotifierError):
    """A commit got no answer: discard the producer, read the committed offset back, then go on from there."""

    action = Action.RETRY
    exit_code = 3


class TornTransactionError(OutcomeUnknownError):
    """Kafka lost end markers of a transaction, a part may have been seen, and nobody knows how it ended."""


class LateWriteError(OutcomeUnknownError):
    """A decision was not written soon enough after its barrier, and must be made again behind a new one."""


class ConfigurationError(NotifierError):
    """Settings that cannot work; the message lists every fault at once."""

    exit_code = 4


class BrokerInstallError(ConfigurationError):
    """The embedded broker's parts are missing, altered or cannot be fetched."""


class CredentialsError(ConfigurationError):
    """Kafka refused our identity or an operation."""


class SchemaError(ConfigurationError):
    """A schema breaks its rules, is missing, or an id has no schema."""


class TopicError(ConfigurationError):
    """A topic is missing, or has another partition count, partitioner or settings than the table says."""
