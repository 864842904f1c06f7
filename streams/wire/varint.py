"""Avro's integers: zigzag, then seven bits a byte, least significant first.

Two tables of 14 bits make a time stamp out of three look-ups instead of six steps. Imports nothing. Read
next: `plan.py`. Source: Avro 1.12 specification, "Binary encoding".
"""

INT_MIN = -(2**31)
INT_MAX = 2**31 - 1


class UndecodableError(ValueError):
    """The bytes are not what the schema says; inside `wire` only, decoders turn it into a value."""


def _slow(zigzag: int) -> bytes:
    out = bytearray()
    while zigzag > 127:
        out.append(zigzag & 127 | 128)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


# The last 14 bits of a number, and 14 bits with more to come.
LAST = tuple(_slow(i) for i in range(1 << 14))
MORE = tuple(bytes((i & 127 | 128, i >> 7 | 128)) for i in range(1 << 14))


def write_long(value: int) -> bytes:
    """Return the encoding of an integer of 64 bits. Raises ValueError outside of it."""
    zigzag = value << 1 if value >= 0 else ~(value << 1)
    if zigzag < 0x4000:
        return LAST[zigzag]
    if zigzag < 0x10000000:
        return MORE[zigzag & 0x3FFF] + LAST[zigzag >> 14]
    if zigzag < 0x40000000000:
        return MORE[zigzag & 0x3FFF] + MORE[zigzag >> 14 & 0x3FFF] + LAST[zigzag >> 28]
    if zigzag >= 1 << 64:
        msg = f"{value} does not fit 64 bits"
        raise ValueError(msg)
    return _slow(zigzag)


def write_int(value: int) -> bytes:
    """Return the encoding of an integer of 32 bits. Raises ValueError outside of it."""
    if not INT_MIN <= value <= INT_MAX:
        msg = f"{value} does not fit 32 bits"
        raise ValueError(msg)
    return write_long(value)


def write_bytes(value: bytes) -> bytes:
    """Return the encoding of bytes: their length, then they."""
    size = len(value)
    return (LAST[size << 1] if size < 0x2000 else write_long(size)) + value


def write_string(value: str) -> bytes:
    """Return the encoding of a text: its length in UTF-8, then UTF-8.

    Raises UnicodeEncodeError for half a surrogate pair.
    """
    data = value.encode()
    size = len(data)
    return (LAST[size << 1] if size < 0x2000 else write_long(size)) + data


def read_more(data: bytes, at: int, first: int) -> tuple[int, int]:
    """Go on reading a number whose first byte, `first`, said that there is more at `at`: (number before
    zigzag, where it ended).

    Raises UndecodableError over 64 bits, IndexError at the end of the data.
    """
    number = first & 127
    shift = 7
    while (byte := data[at]) > 127:
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if shift > 63:
            raise UndecodableError
    number |= byte << shift
    if number >> 64:
        raise UndecodableError
    return number, at + 1


def read_size(data: bytes, at: int, first: int) -> tuple[int, int]:
    """Read the rest of a size as `read_more` does. Raises UndecodableError also for a negative one."""
    number, at = read_more(data, at, first) if first > 127 else (first, at)
    if number & 1:
        raise UndecodableError
    return number, at
