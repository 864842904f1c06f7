"""One command, `notifier`: thin adapters, one file per command group. Read first: `main.py`."""
