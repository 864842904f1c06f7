"""MULTIPLIES: the core's rules over whole record batches, bytes in, fates and output bytes out.

`record_batch` is the shape of the input, `interpret` the interpreted path, `batch_result` the one value that
comes out. May import wire and core. Read next: `record_batch.py`.
"""
