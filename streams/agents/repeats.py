"""A log filter: while Kafka is away, its client says the same things dozens of times a second; say each of
them once in a while, with how often.

Imports the standard library only. Read next: `worker.py`, which installs it.
"""

import logging

CLIENT = "aiokafka"
EVERY_S = 10.0


class Repeats(logging.Filter):
    """Lets a message template of the Kafka client pass once in EVERY_S; everything of ours passes.

    The next one to pass says how many were left out. Time is that of the log records.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[tuple[str, str], float] = {}
        self._left_out: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is to be written. Never raises."""
        if record.name.partition(".")[0] != CLIENT:
            return True
        # msg is the template; the values in it (a node, an error's text) make no message of its own.
        template = (record.name, str(record.msg))
        shown = self._shown.get(template)
        if shown is not None and 0 <= record.created - shown < EVERY_S:
            self._left_out[template] = self._left_out.get(template, 0) + 1
            return False
        self._shown[template] = record.created
        if left_out := self._left_out.pop(template, 0):
            record.msg, record.args = f"{record.getMessage()} ({left_out} more like it before)", ()
        return True
