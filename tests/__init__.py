"""Tests: `tests/a/test_b.py` tests `streams/a/b.py`; tiers by marker, see `pyproject.toml`."""
