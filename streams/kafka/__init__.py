"""CARRIES: Faust transport for record batches, committers, consent store, partitioning, the embedded broker.

May import `wire`, `kernel` and below. Read next: `transport`, or `broker` (a real Kafka
here) and `jars` (its parts).
"""
