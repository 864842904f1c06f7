"""lz4 batches are made at the fast level, and read back unchanged."""

import subprocess
import sys

SCRIPT = """
import random, sys, time
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from streams.kafka.compression import install

words = [random.Random(number).randbytes(6) for number in range(400)]
values = [b" ".join(random.Random(number).choices(words, k=60)) for number in range(2000)]

def build():
    ids = {"producer_id": -1, "producer_epoch": -1, "base_sequence": 0}
    builder = DefaultRecordBatchBuilder(2, 3, is_transactional=0, batch_size=1 << 24, **ids)
    for number, value in enumerate(values):
        builder.append(number, 0, None, value, [])
    started = time.process_time()
    built = bytes(builder.build())
    return built, time.process_time() - started

slow, slow_s = build()
install()
fast, fast_s = build()
read_back = [record.value for record in DefaultRecordBatch(fast)]
print(read_back == values, len(fast) > len(slow), len(fast) < 2 * len(slow))
"""


def test_lz4_is_made_at_the_fast_level_and_reads_back() -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout.split() == ["True", "True", "True"], run.stderr
