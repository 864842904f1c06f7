"""Faults by plan: workers and the broker are killed, paused, restarted and rebalanced while events flow, then
the independent verifier judges the topics.

A scenario is data; a seed makes its plan. Every fault is one line of a log, every figure of the report is
computed from the logs (`python -m tests.chaos check`). Read next: `scenarios.py`, `stream.py`, `crew.py`,
`run.py`, `report.py`. Source: docs/reliability/README.md.
"""
