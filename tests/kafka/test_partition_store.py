"""What a worker keeps in memory of a partition number, as the log has it."""

import pytest

from streams.core.codes import Direction, Purposes
from streams.core.consent import Consent, ConsentState, Holder
from streams.core.subject_state import EMPTY_STATE, SubjectState
from streams.kafka import partition_store
from streams.kafka.partition_store import MARKER_KEY, PartitionStore
from streams.kernel import subjects as plain_subjects
from streams.kernel.compiled import subjects as compiled_subjects
from streams.kernel.compiled.subjects import PackedSubjects
from streams.kernel.record_batch import NO_HEADERS, RecordBatch
from streams.kernel.subjects import PlainSubjects, Subjects
from streams.wire.codec import PositionMarker, encode_consent_state, encode_position_marker
from streams.wire.topics import NOTIFIER_STATE

MARKER = PositionMarker("cluster", 0, (), "head", 1)
MEMORY = SubjectState(3, b"", 2, b"")
SUBJECTS = [PlainSubjects, PackedSubjects]


def state_of(subject: str) -> bytes:
    return encode_consent_state(ConsentState(subject, (), suspended=True))


def ending_at(subject: str, valid_until: int) -> bytes:
    given = Consent(
        f"consent:{subject}", 1, Purposes.RECEIPT, 4, Direction.BOTH, "psid:1", 0, valid_until, None, "n",
        "h", "en", "UTC",
    )  # fmt: skip
    return encode_consent_state(ConsentState(subject, (Holder("user:1", (given,)),)))


@pytest.mark.parametrize("subjects", SUBJECTS)
def test_what_is_prepared_is_bounded_and_made_again(
    subjects: type[Subjects], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_store, "PREPARED_LIMIT", 2)
    store = PartitionStore(subjects())
    names = [f"bank:{number}" for number in range(5)]
    store.merge_consents({name.encode(): state_of(name) for name in names}, (), 7)
    for name in [*names, *names]:
        assert store.prepared(name.encode()) is not None
        assert len(store._prepared) <= 2
    assert store.prepared(b"bank:none") is None


@pytest.mark.parametrize("subjects", SUBJECTS)
def test_an_erasure_forgets_also_where_a_grant_follows_in_the_same_fold(subjects: type[Subjects]) -> None:
    store = PartitionStore(subjects())
    key = b"bank:1"
    store.merge_consents({key: state_of("bank:1")}, (), 1)
    store.merge_states({key: MEMORY}, MARKER, 1)
    store.merge_consents({key: state_of("bank:1")}, {key}, 2)
    assert store.state(key) == EMPTY_STATE
    assert store.consent_state(key) is not None


def test_a_record_without_a_key_is_no_state_and_a_tombstone_takes_the_marker() -> None:
    store = PartitionStore(PlainSubjects())
    for value in (encode_position_marker(MARKER), None):
        store.load_states(
            RecordBatch(
                NOTIFIER_STATE, 0, [0, 1], [0, 0], [None, MARKER_KEY], [b"x", value], [NO_HEADERS] * 2, 0, 2
            )
        )
        assert store.marker == (None if value is None else MARKER)


@pytest.mark.parametrize("subjects", SUBJECTS)
def test_slices_name_every_subject_whose_consent_may_end_in_time(subjects: type[Subjects]) -> None:
    store = PartitionStore(subjects())
    ends = {f"bank:{number:04d}": 1_000 + number for number in range(2_500)}
    store.merge_consents({name.encode(): ending_at(name, end) for name, end in ends.items()}, (), 7)
    store.merge_consents({b"bank:0005": None, b"bank:gone": state_of("bank:gone")}, (), 8)
    named = [key for keys in store.subjects.slices([(1_003, 1_010), (2_000, 3_100)]) for key in keys]
    wanted = {name.encode() for name, end in ends.items() if 1_003 < end <= 1_010 or 2_000 < end <= 3_100}
    assert wanted - {b"bank:0005"} | {b"bank:gone"} <= set(named)
    assert len(named) == len(set(named))
    assert b"bank:0005" not in named
    if subjects is PackedSubjects:
        assert set(named) == wanted - {b"bank:0005"} | {b"bank:gone"}


@pytest.mark.parametrize("subjects", SUBJECTS)
def test_subjects_may_come_go_and_move_between_two_slices(
    subjects: type[Subjects], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_subjects, "SLOTS_A_SLICE", 100)
    monkeypatch.setattr(plain_subjects, "KEYS_A_SLICE", 100)
    store = PartitionStore(subjects())
    names = [f"bank:{number:04d}" for number in range(450)]
    store.merge_consents({name.encode(): ending_at(name, 5) for name in names}, (), 7)
    slices = store.subjects.slices([(0, 9)])
    named = list(next(slices))
    more = {f"shop:{number}".encode(): ending_at(f"shop:{number}", 5) for number in range(5_000)}
    store.merge_consents({b"bank:0449": None, **more}, (), 8)
    if isinstance(store.subjects, PackedSubjects):
        store.subjects.compact()
    for keys in slices:
        named += keys
    assert {name.encode() for name in names[:-1]} <= set(named)
    assert len(named) == len(set(named))
