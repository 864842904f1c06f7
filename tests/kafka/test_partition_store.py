"""What a worker keeps in memory of a partition number, as the log has it."""

import pytest

from streams.core.consent import ConsentState
from streams.core.subject_state import EMPTY_STATE, SubjectState
from streams.kafka import partition_store
from streams.kafka.partition_store import MARKER_KEY, PartitionStore
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
