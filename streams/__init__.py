"""Consented notifications: agents that join Kafka events with consent and emit what people asked to be told.

Reading order and the rules of each room: `streams/README.md`.
"""

__version__ = "0.1.0"
