"""Chooses how batches are decided: compiled where numba is installed, interpreted otherwise.

`NOTIFIER_KERNEL` (setting `kernel`) may ask for one of them. May import wire and core. Read next:
`interpret.py`, `compiled/decider.py`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from streams.core.policy import Policy
from streams.kernel.batch_result import BatchResult
from streams.kernel.compiled.jit import HAS_NUMBA
from streams.kernel.interpret import Interpreter, SubjectView
from streams.kernel.record_batch import RecordBatch
from streams.kernel.subjects import PlainSubjects, Subjects

COMPILED, INTERPRETED = "compiled", "interpreted"


class Decide(Protocol):
    """Decides batches of one partition number on an overlay; see `Interpreter.decide`."""

    def __call__(
        self, batches: Sequence[RecordBatch], view: SubjectView, consent_next_offset: int, now_ms: int
    ) -> BatchResult:
        """Return what becomes of every record."""


class Path(NamedTuple):
    """One of the two paths.

    Attributes:
        name: COMPILED or INTERPRETED.
        new_subjects: makes the store of one partition number's subjects.
        decide_with: gives whoever decides its batches.
        warm_up: compiles, or loads, what this path needs; may take long once.
        is_warm: tells whether it was compiled before, so that `warm_up` only loads it.
    """

    name: str
    new_subjects: Callable[[], Subjects]
    decide_with: Callable[["Setup", Subjects], Decide]
    warm_up: Callable[[], None]
    is_warm: Callable[[], bool]


class Setup(NamedTuple):
    """What a decider is made of; arguments as of `Interpreter` and `CompiledDecider`."""

    app_id: str
    partition: int
    partitions: int
    deliveries: int
    policy: Policy
    batch_bytes: int
    pack: Callable[[memoryview], Any]
    replay: bool
    max_value_bytes: int


def _interpreted(setup: Setup, _: Subjects) -> Decide:
    return Interpreter(
        setup.app_id,
        setup.partition,
        setup.partitions,
        setup.policy,
        replay=setup.replay,
        max_value_bytes=setup.max_value_bytes,
    ).decide


def choose_path(wanted: str = "auto") -> Path:
    """Return the path that is asked for; `auto` takes the compiled one where it can run.

    Raises:
        ImportError: the compiled one is asked for and numba is not installed.
    """
    if wanted == INTERPRETED or (wanted == "auto" and not HAS_NUMBA):
        return Path(INTERPRETED, PlainSubjects, _interpreted, lambda: None, lambda: True)
    if not HAS_NUMBA:
        raise ImportError("numba is not installed")
    from streams.kernel.compiled.decider import CompiledDecider
    from streams.kernel.compiled.subjects import PackedSubjects
    from streams.kernel.compiled.warm_up import is_compiled, warm_up

    def compiled(setup: Setup, subjects: Subjects) -> Decide:
        assert isinstance(subjects, PackedSubjects)
        return CompiledDecider(setup, subjects).decide

    return Path(COMPILED, PackedSubjects, compiled, warm_up, is_compiled)
