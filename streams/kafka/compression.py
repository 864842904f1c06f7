"""Makes aiokafka compress lz4 at its fast level.

aiokafka calls lz4 with level 9, the slow high-compression mode, and has no setting for it: a fifth of a
worker's time went there for 14 % smaller batches (`python -m bench` before and after). Broker and other
clients read every level. `tests/kafka/test_compression.py` fails when aiokafka no longer looks its codec up
where this replaces it.
"""

from functools import partial

import aiokafka.record.default_records as python_records
from aiokafka.codec import lz4_encode

FAST_LEVEL = 1

try:
    import aiokafka.record._crecords.default_records as compiled_records
except ImportError:  # a pure Python build
    compiled_records = python_records

_fast_lz4 = partial(lz4_encode, level=FAST_LEVEL)


def install() -> None:
    """Compress lz4 at the fast level in this process. Idempotent; never raises."""
    for module in (python_records, compiled_records):
        module.lz4_encode = _fast_lz4
