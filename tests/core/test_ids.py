import json
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.ids import NAMESPACE, notification_id

VECTORS = json.loads((Path(__file__).parents[2] / "schemas/id-vectors.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["notification_id"][:8])
def test_ids_equal_the_vectors_of_the_second_implementation(vector: dict[str, str]) -> None:
    parts = (vector["recipient"], vector["subject"], vector["kind"], vector["business_key"])
    assert notification_id(*parts, *vector["revision"]) == vector["notification_id"]


def test_the_vectors_are_of_our_namespace_and_all_differ() -> None:
    assert VECTORS["namespace"] == NAMESPACE
    ids = {vector["notification_id"] for vector in VECTORS["vectors"]}
    assert len(ids) == len(VECTORS["vectors"]) >= 15


@given(st.lists(st.text(), min_size=4, max_size=7))
def test_an_id_is_a_uuid_of_version_5_over_the_joined_parts(parts: list[str]) -> None:
    ours = notification_id(parts[0], parts[1], parts[2], parts[3], *parts[4:])
    assert ours == str(uuid.uuid5(uuid.UUID(NAMESPACE), "\x1f".join(parts)))
