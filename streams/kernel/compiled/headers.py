"""Reads the headers of an input record that matter: a schema named outside of the value, and the trace.

Imports `layout` and `records`. Read next: `join.py`. Source: `wire/headers.py`, `wire/frame.py`.
"""

import numpy as np

from streams.kernel.compiled.bytes_out import is_same
from streams.kernel.compiled.jit import inlined
from streams.kernel.compiled.layout import TRACEPARENT_SIZE
from streams.kernel.compiled.records import varint
from streams.kernel.compiled.types import Bytes

_SCHEMA_HEADER = np.frombuffer(b"__value_schema_id", np.uint8)
_TRACE_HEADER = np.frombuffer(b"traceparent", np.uint8)


@inlined
def _is_lower_hex(source: Bytes, place: int, size: int) -> tuple[bool, bool]:
    """Tell whether all are digits of lower-case hexadecimal, and whether all are zeros."""
    is_zero = True
    for step in range(place, place + size):
        byte = source[step]
        if not (48 <= byte <= 57 or 97 <= byte <= 102):
            return False, False
        if byte != 48:
            is_zero = False
    return True, is_zero


@inlined
def is_traceparent(source: Bytes, place: int, size: int) -> bool:
    """Tell whether a header's value is one that is passed on. Source: `wire/headers.py`."""
    if size != TRACEPARENT_SIZE:
        return False
    if source[place + 2] != 45 or source[place + 35] != 45 or source[place + 52] != 45:
        return False
    if source[place] == 102 and source[place + 1] == 102:
        return False
    version, _ = _is_lower_hex(source, place, 2)
    trace, is_no_trace = _is_lower_hex(source, place + 3, 32)
    parent, is_no_parent = _is_lower_hex(source, place + 36, 16)
    flags, _ = _is_lower_hex(source, place + 53, 2)
    return version and trace and parent and flags and not is_no_trace and not is_no_parent


@inlined
def _has_name(source: Bytes, place: int, size: int, name: Bytes) -> bool:
    if size != name.size:
        return False
    return is_same(source, place, name, 0, size)


@inlined
def read_headers(source: Bytes, at: int, count: int) -> tuple[bool, int, int]:
    """Return whether a header names the schema, and place and size of the last traceparent (-1: none)."""
    trace, trace_size = -1, -1
    for _ in range(count):
        size, at = varint(source, at, source.size)
        name = at
        value_size, at = varint(source, at + size, source.size)
        if _has_name(source, name, size, _SCHEMA_HEADER):
            return True, -1, -1
        if _has_name(source, name, size, _TRACE_HEADER):
            trace, trace_size = at, value_size
        at += max(value_size, 0)
    return False, trace, trace_size
