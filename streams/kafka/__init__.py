"""CARRIES: Faust transport for record batches, committers, consent store, partitioning, the embedded broker.

May import `wire`, `kernel` and below. Read next: `broker` (a real Kafka on this machine) and `jars` (its parts).
"""
