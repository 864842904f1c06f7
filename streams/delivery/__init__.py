"""SENDS: how a notification becomes words. Reading order: `render.py`, `place.py`, `text.py`, `locales/`."""
