"""The header of a v2 record batch: 61 bytes, then the records, packed or not.

Imports nothing. Source: Kafka's message format, "Record Batch". Read next: `raw_batches.py`, which reads it,
and `encoded_batch.py`, which writes it.
"""

import struct

# Base offset, size of what follows it, leader epoch, magic, checksum, attributes, last offset delta, first
# and largest time in milliseconds, producer id, producer epoch, base sequence, number of records.
HEADER = struct.Struct(">qiibIhiqqqhii")
SIZE = struct.Struct(">i")
SIZE_AT = 8
SIZED_FROM = 12
MAGIC = 2
MAGIC_AT = 16
CRC = struct.Struct(">I")
CRC_AT = 17
CHECKED_FROM = 21

CODEC_MASK = 0x07
LZ4 = 3
APPEND_TIME_MASK = 0x08
TRANSACTIONAL_MASK = 0x10
CONTROL_MASK = 0x20
