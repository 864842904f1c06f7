"""Implementations of the contract in `streams/kafka/committer.py`."""
