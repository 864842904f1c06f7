"""The formats that `notifier produce --format` knows. A new format is one file and one line here.

Imports the formats. Read next: `production.py`, which turns what they read into what is published.
"""

from types import MappingProxyType

from streams.formats.berka import Berka
from streams.formats.format import Format
from streams.formats.jsonl import Jsonl
from streams.formats.olist import Olist

_ALL: tuple[Format, ...] = (Berka(), Jsonl(), Olist())

FORMATS = MappingProxyType({each.name: each for each in _ALL})
