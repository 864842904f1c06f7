"""Hypothesis strategies made from the schemas: whole tuples as our writers take them; and bytes broken."""

from random import Random
from typing import Any

from hypothesis import strategies as st

from streams.wire.plan import in_full, null_index

LONGS = st.integers(-(2**63), 2**63 - 1) | st.integers(-70, 70) | st.integers(2**27 - 3, 2**41 + 3)
TEXTS = st.text(max_size=12) | st.sampled_from(["", "x" * 63, "x" * 64, "é" * 4096, "🥐" * 2048])


def values(schema: Any) -> st.SearchStrategy[Any]:
    """Return tuples of a schema; arrays of enums are sets of bits, as in `read_plan.py`."""
    return _of(in_full(schema))


def _of(schema: Any) -> st.SearchStrategy[Any]:
    match schema:
        case list():
            return st.none() | _of(schema[1 - null_index(schema)])
        case {"type": "record"}:
            return st.tuples(*(_of(field["type"]) for field in schema["fields"]))
        case {"type": "enum"}:
            return st.integers(0, len(schema["symbols"]) - 1)
        case {"type": "array", "items": {"type": "enum", "symbols": symbols}}:
            return st.integers(0, 2 ** len(symbols) - 1)
        case {"type": "array"}:
            return st.lists(_of(schema["items"]), max_size=3).map(tuple)
        case {"type": "string"}:
            return TEXTS
        case {"type": "bytes"}:
            return st.binary(max_size=20)
        case {"type": "boolean"}:
            return st.booleans()
        case {"type": "int"}:
            return st.integers(-(2**31), 2**31 - 1)
        case _:
            return LONGS


def mutated(body: bytes, random: Random) -> bytes:
    """Return bytes that were changed in one to four places."""
    data = bytearray(body)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data))
        match random.choice(["flip", "flip", "bit", "cut", "insert", "stretch", "drop"]):
            case "flip":
                data[at] = random.choice([0, 1, 2, 3, 127, 128, 129, 255, random.randrange(256)])
            case "bit":
                data[at] ^= 1 << random.randrange(8)
            case "cut" if at:
                del data[at:]
            case "insert":
                data[at:at] = random.randbytes(random.randint(1, 11))
            case "stretch":  # a number's byte with one more that adds nothing
                data[at : at + 1] = bytes((data[at] | 128, 0))
            case _ if len(data) > 1:
                del data[at]
    return bytes(data)
