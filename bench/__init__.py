"""MEASURES: throughput of the worker beside other programs on the same broker, topics and bytes.

`python -m bench` runs it. Start reading at `workload.py` (what they are given and what must come out), then
`contender.py` (what a contender is), `rounds.py` (how it is timed) and `report.py` (what is told).
"""
