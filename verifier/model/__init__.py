"""The independent model: who must be told what, written from docs/rules.md alone, to be compared with what
the notifier told.

Imports nothing of `streams` (an import contract): plain dicts, the standard library, Apache avro. It decides
one record at a time, in order. What a model cannot know - when a batch was decided, and which requests it had
folded - it takes from the DecisionBatch and bounds elsewhere. Read next: `consents.py`, `opening.py`,
`rules.py`, `memory.py`, `notice.py`, `reminders.py`, then `verifier/replay.py`.
"""
