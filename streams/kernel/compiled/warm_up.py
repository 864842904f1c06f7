"""Compiles the whole path before it is needed, or loads it from the cache, by using it on a made-up record.

Imports the modules beside it. Read next: `decider.py`.
"""

import sys
from collections.abc import Callable
from subprocess import DEVNULL, Popen, TimeoutExpired

import numpy as np

from streams.core.codes import Direction, Purposes, TransactionStatus
from streams.core.consent import Consent, ConsentState, Holder
from streams.core.events import BankTransaction
from streams.core.policy import make_policy
from streams.core.pseudonyms import SALT_BYTES
from streams.core.subject_state import SEEN, SubjectState
from streams.kernel.compiled.assemble import batch_records, merge_pieces
from streams.kernel.compiled.decider import CompiledDecider
from streams.kernel.compiled.jit import cache_folder
from streams.kernel.compiled.raw_batch import read_columns
from streams.kernel.compiled.subjects import PackedSubjects
from streams.kernel.path import Setup
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import encode_consent_state, encode_event
from streams.wire.topics import BANK_TRANSACTIONS, CONSENT_STATE

MakeDecider = Callable[[Setup, PackedSubjects], CompiledDecider]

COMPILE_LIMIT_S = 300.0
_DONE = "complete"
_KEY = b"made:up"
_COMPILER = f"import sys; sys.path[:] = sys.argv[2:]; from {__name__} import use_part; use_part(sys.argv[1])"


class _NoView:
    """Nobody asks it: the made-up record does not leave for the Python path."""

    def prepared(self, _: bytes) -> None:
        """Know nobody."""

    def state(self, _: bytes) -> SubjectState:
        """Remember nothing."""
        return SubjectState()


def is_compiled() -> bool:
    """Tell whether the cache holds the whole path. Never raises."""
    return (cache_folder() / _DONE).exists()


def warm_up(make_decider: MakeDecider = CompiledDecider) -> None:
    """Compile or load every function of the path. Raises OSError where the cache cannot be written.

    What is not in the cache is compiled by two processes at a time, which take the compiler's memory with
    them; should they fail, this one compiles and says why it cannot.
    """
    if not is_compiled():
        _compile_apart()
    for use in _PARTS.values():
        use(make_decider)
    cache_folder().mkdir(parents=True, exist_ok=True)
    (cache_folder() / _DONE).touch()


def use_part(name: str) -> None:
    """Use one of the parts, so that it is compiled and cached."""
    _PARTS[name](CompiledDecider)


def _compile_apart() -> None:
    compilers: list[Popen[bytes]] = []
    try:
        for name in _PARTS:
            command = [sys.executable, "-c", _COMPILER, name, *sys.path]
            compilers.append(Popen(command, stdout=DEVNULL, stderr=DEVNULL))
        for compiler in compilers:
            compiler.wait(COMPILE_LIMIT_S)
    except (OSError, TimeoutExpired):
        return  # this process compiles then
    finally:
        for compiler in compilers:
            compiler.kill()
            compiler.wait()


def _decide_one(make_decider: MakeDecider) -> None:
    """Decide an event of nobody: what is compiled depends on types only. This is two thirds of all."""
    subjects = PackedSubjects(lambda: 1)
    event = encode_event(BankTransaction("e", _KEY.decode(), 1, TransactionStatus.POSTED, 1, "EUR", "l"))
    batch = RecordBatch(BANK_TRANSACTIONS, 0, [0], [0], [_KEY], [event], [()], 0, 1)
    setup = Setup("a", 0, 1, 1, make_policy(), 1024, bytes, False, 1024)
    result = make_decider(setup, subjects).decide([batch], _NoView(), 0, 1)
    assert result.encoded is not None
    subjects.commit(result.encoded.stamp)


def _read_and_store(_: MakeDecider) -> None:
    """Read records, store and give back what is kept of a subject, and put batches together."""
    read_columns(np.frombuffer(b"", np.uint8), 0, 0, 0, 0, 0, has_deltas=True)
    consent = Consent("c", 1, Purposes.RECEIPT, 4, Direction.BOTH, "p", 0, 2, None, "n", "h", "en", "UTC")
    state = encode_consent_state(
        ConsentState(_KEY.decode(), (Holder("u", (consent,)),), salt=bytes(SALT_BYTES))
    )
    subjects = PackedSubjects(lambda: 1)
    subjects.load_consents(RecordBatch(CONSENT_STATE, 0, [0], [0], [_KEY], [state], [()], 0, 1))
    subjects.set_state(_KEY, SubjectState(seen=bytes(SEEN.size)))
    subjects.begin()
    subjects.consent(_KEY)
    subjects.compact()
    out, longs, ints = np.zeros(1, np.uint8), np.zeros(1, np.int64), np.zeros(0, np.int32)
    batch_records(out, np.zeros((1, 4), np.int64), 1, 1024, out, longs, ints, ints)
    merge_pieces(out, out, longs, longs, 0, np.frombuffer(b"", np.uint8), longs, longs, 0)


_PARTS: dict[str, Callable[[MakeDecider], None]] = {"decide": _decide_one, "store": _read_and_store}
