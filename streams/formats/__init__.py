"""Outside formats, one file each: a file in, events or rejected lines out. Contract: `format.py`; list:
`registry.py`.

May import `core`, `wire` and `errors`; never `kafka`: what is read here is carried there.
"""
