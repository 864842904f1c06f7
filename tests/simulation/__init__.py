"""The carrier and the committer over a simulated log, clock and network, by seed.

Production code runs as it is, from `Carrier` down to what is sent; Kafka is `cluster.py`, time is `clock.py`.
Requests are lost, late, sent twice or answered in vain, workers crash at any await, sleep and lose their
partitions; then all is well again, and the verifier judges the logs. `python -m tests.simulation --seed 7`
repeats a run. Read next: `cluster.py`, `worker.py`, `run.py`.
"""
