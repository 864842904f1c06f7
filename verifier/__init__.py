"""Checks a running notifier from its topics alone, in a process that decided nothing.

Imports nothing from `streams`: it shares only the schemas. `python -m verifier conservation --kafka
HOST:PORT --json` is its one command. Read next: `conservation.py` (what is checked), `avro.py` (how values
are read), `topics.py` (how topics are read).
"""
