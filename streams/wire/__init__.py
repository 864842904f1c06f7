"""SPEAKS: what goes over the wire, and by which names. Read `codec.py` for bytes, `topics.py` for topics."""
