"""How a setting's text becomes a value, and what a value must satisfy; every fault is a line of text.

May import the standard library only. Read next: `streams/settings.py`, the fields themselves.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

PREFIX = "NOTIFIER_"
FILE_SUFFIX = "_FILE"
OUTSIDE_KEYS = frozenset({"NOTIFIER_FAILPOINTS"})
"""Keys of our prefix that are no settings: tests arm failpoints with it, `streams/failpoints.py` reads it."""

HEARTBEATS_PER_SESSION = 3
"""Kafka's own advice: a member may miss two heartbeats before it is taken for dead."""

LEAST_KEY_CHARS = 32

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_APP_ID = re.compile(r"[A-Za-z0-9._-]{1,80}")


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of `Settings` as the page, `notifier config` and the checks see it."""

    name: str
    kind: Any
    default: Any
    unit: str
    doc: str
    low: int | None
    high: int | None
    secret: bool

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return PREFIX + self.name.upper()

    @property
    def type_name(self) -> str:
        """The type in words: `int`, `text`, `path` or the choices."""
        kind = _plain(self.kind)
        if get_origin(kind) is Literal:
            return " or ".join(f"`{choice}`" for choice in get_args(kind))
        return {int: "whole number", Path: "path"}.get(kind, "text")


def _plain(kind: Any) -> Any:
    """Return the type without `| None`."""
    if isinstance(kind, UnionType):
        return next(part for part in get_args(kind) if part is not type(None))
    return kind


def coerce(setting: Setting, value: Any) -> Any:
    """Return `value` (text, or already typed) as the field's type; raise ValueError saying what is wrong."""
    kind = _plain(setting.kind)
    shown = "the value" if setting.secret else repr(value)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ValueError(f"{shown} is not one of {', '.join(get_args(kind))}")
        return value
    if kind is int:
        if not re.fullmatch(r"-?[0-9]{1,18}", str(value)):
            raise ValueError(f"{shown} is not a whole number{f' of {setting.unit}' if setting.unit else ''}")
        return int(value)
    if str(value) == "":
        raise ValueError("is empty: leave it unset to get the default")
    return kind(value)


def range_fault(setting: Setting, value: Any) -> str | None:
    """Return why a number is out of its range, or None."""
    if setting.low is not None and value < setting.low:
        return f"{setting.variable}: {value} is below {setting.low}"
    if setting.high is not None and value > setting.high:
        return f"{setting.variable}: {value} is above {setting.high}"
    return None


def read_variables(table: Iterable[Setting], environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the texts of our variables by field name, files already read, and the faults on the way."""
    texts: dict[str, str] = {}
    faults: list[str] = []
    known: set[str] = set(OUTSIDE_KEYS)
    for setting in table:
        known.add(setting.variable)
        if setting.variable in environ:
            texts[setting.name] = environ[setting.variable]
        if setting.secret:
            known.add(setting.variable + FILE_SUFFIX)
            _read_file(setting, environ, texts, faults)
    for key in sorted(key for key in environ if key.startswith(PREFIX) and key not in known):
        near = difflib.get_close_matches(key, known, n=1)
        faults.append(f"{key}: no such setting" + (f"; did you mean {near[0]}?" if near else ""))
    return texts, faults


def _read_file(
    setting: Setting, environ: Mapping[str, str], texts: dict[str, str], faults: list[str]
) -> None:
    variable = setting.variable + FILE_SUFFIX
    if variable not in environ:
        return
    if setting.name in texts:
        faults.append(f"{variable}: {setting.variable} is set too; keep one of them")
        return
    try:
        texts[setting.name] = Path(environ[variable]).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        faults.append(f"{variable}: cannot read {environ[variable]!r}: {reason}")


def cross_faults(values: Mapping[str, Any]) -> list[str]:
    """Return what single ranges cannot say: addresses, names, and settings that contradict each other."""
    return [*_name_faults(values), *_timing_faults(values), *_security_faults(values), *_key_faults(values)]


def _name_faults(values: Mapping[str, Any]) -> list[str]:
    faults = []
    for address in values["kafka"].split(","):
        match = _ADDRESS.fullmatch(address.strip())
        if match is None or not 0 < int(match[2]) <= 65535:
            faults.append(f"{PREFIX}KAFKA: {address.strip()!r} is not HOST:PORT")
    if not _APP_ID.fullmatch(values["app_id"]):
        faults.append(
            f"{PREFIX}APP_ID: {values['app_id']!r} may hold letters, digits, '.', '_' and '-', at most 80"
        )
    return faults


def _timing_faults(values: Mapping[str, Any]) -> list[str]:
    heartbeat, session = values["heartbeat_interval_ms"], values["session_timeout_ms"]
    if heartbeat * HEARTBEATS_PER_SESSION > session:
        variable = f"{PREFIX}HEARTBEAT_INTERVAL_MS"
        return [f"{variable}: {heartbeat} is above a third of the session timeout ({session})"]
    return []


def _key_faults(values: Mapping[str, Any]) -> list[str]:
    key = values["evidence_key"]
    if key is not None and len(key) < LEAST_KEY_CHARS:
        return [f"{PREFIX}EVIDENCE_KEY: has fewer than {LEAST_KEY_CHARS} characters"]
    return []


def _security_faults(values: Mapping[str, Any]) -> list[str]:
    protocol: str = values["security_protocol"]
    faults = []
    for name in ("sasl_username", "sasl_password"):
        variable = PREFIX + name.upper()
        if protocol.startswith("SASL_") and values[name] is None:
            faults.append(f"{variable}: needed with {PREFIX}SECURITY_PROTOCOL={protocol}")
        if not protocol.startswith("SASL_") and values[name] is not None:
            faults.append(
                f"{variable}: has no effect with {PREFIX}SECURITY_PROTOCOL={protocol}; set SASL_SSL"
            )
    cafile = values["ssl_cafile"]
    if cafile is not None and not cafile.is_file():
        faults.append(f"{PREFIX}SSL_CAFILE: {str(cafile)!r} is no file")
    return faults
