"""Compiles the whole path before it is needed, or loads it from the cache, by deciding one made-up record.

Imports the modules beside it. Read next: `decider.py`.
"""

from collections.abc import Callable

from streams.core.codes import Direction, Purposes, TransactionStatus
from streams.core.consent import Consent, ConsentState, Holder
from streams.core.events import BankTransaction
from streams.core.policy import make_policy
from streams.core.subject_state import SubjectState
from streams.kernel.compiled.decider import CompiledDecider
from streams.kernel.compiled.jit import cache_folder
from streams.kernel.compiled.subjects import PackedSubjects
from streams.kernel.path import Setup
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import encode_consent_state, encode_event
from streams.wire.topics import BANK_TRANSACTIONS, CONSENT_STATE

_DONE = "complete"


class _NoView:
    """Nobody asks it: the made-up subject does not leave for the Python path."""

    def prepared(self, _: bytes) -> None:
        """Know nobody."""

    def state(self, _: bytes) -> SubjectState:
        """Remember nothing."""
        return SubjectState()


def is_compiled() -> bool:
    """Tell whether the cache holds the whole path. Never raises."""
    return (cache_folder() / _DONE).exists()


def warm_up(make_decider: Callable[[Setup, PackedSubjects], CompiledDecider] = CompiledDecider) -> None:
    """Compile or load every function of the path. Raises OSError where the cache cannot be written."""
    key = b"made:up"
    consent = Consent("c", 1, Purposes.RECEIPT, 4, Direction.BOTH, "p", 0, 2, None, "n", "h", "en", "UTC")
    state = encode_consent_state(ConsentState("made:up", (Holder("u", (consent,)),)))
    subjects = PackedSubjects(lambda: 1)
    subjects.load_consents(RecordBatch(CONSENT_STATE, 0, [0], [0], [key], [state], [()], 0, 1))
    event = encode_event(BankTransaction("e", "made:up", 1, TransactionStatus.POSTED, 1, "EUR", "l"))
    batch = RecordBatch(BANK_TRANSACTIONS, 0, [0], [0], [key], [event], [()], 0, 1)
    setup = Setup("a", 0, 1, 1, make_policy(), 1024, bytes, False, 1024)
    result = make_decider(setup, subjects).decide([batch], _NoView(), 0, 1)
    assert result.encoded is not None
    subjects.commit(result.encoded.stamp)
    subjects.set_state(key, subjects.state(key))
    subjects.consent(key)
    subjects.compact()
    cache_folder().mkdir(parents=True, exist_ok=True)
    (cache_folder() / _DONE).touch()
