"""Faults need the embedded broker and minutes: the whole folder is of the faults tier."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.broker)
            item.add_marker(pytest.mark.faults)
