"""DECIDES: who is told what of an event, and why not. Pure Python and the standard library: no clock, no I/O,
no async, no logging.

Start at `decide` (events) and `fold` (consent requests); `rules` is the ordered table that both and the docs
follow. The contract is docs/rules.md.
"""
