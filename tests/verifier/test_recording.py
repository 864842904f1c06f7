"""What a recording keeps of the records that it is given."""

from tests.model.values import Writer
from verifier.avro import load_schema
from verifier.recording import Marker, Recording

MARKER = {"cluster_id": "", "partition": 0, "positions": [], "chain_head": "", "written_at": 7}


def test_markers_are_kept_that_say_up_to_when_was_told_which_consents_end() -> None:
    found = Recording(1)
    found.keep_marker(0, Writer("position_marker").framed({**MARKER, "reminded_until": 5}))
    is_said = "reminded_until" in {field["name"] for field in load_schema("position_marker")["fields"]}
    assert found.markers == ({0: [Marker(7, 5)]} if is_said else {})


def test_the_states_of_subjects_and_what_was_deleted_are_no_markers() -> None:
    found = Recording(1)
    for value in (None, b"", b"\0\0\0\0\x0c", b"\0\0\0\0\x0d-"):
        found.keep_marker(0, value)
    assert found.markers == {}
