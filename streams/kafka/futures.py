"""Futures whose failures somebody else tells. Imports nothing of ours."""

import asyncio
from typing import Any


def look_at(future: asyncio.Future[Any]) -> None:
    """As a done-callback, read why it failed: asyncio would log it where nobody awaits it any more."""
    if not future.cancelled():
        future.exception()
