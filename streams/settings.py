"""Every setting, stated once: read from the environment at start, printed by `notifier config`.

May import `streams.errors` only. Read next: `streams/setting_checks.py` (what a value must satisfy) and
`tools/settings_page.py`, which writes `docs/settings.md` from the fields below.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

from streams.errors import ConfigurationError
from streams.setting_checks import Setting, coerce, cross_faults, range_fault, read_variables

Guarantee = Literal["exactly_once", "at_least_once"]
Kernel = Literal["auto", "compiled", "interpreted"]
ConsentProfile = Literal["default", "eu"]
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

MASK = "********"
CONSENT_DAYS: Mapping[ConsentProfile, int] = {"default": 365, "eu": 180}
"""Longest validity of a consent; 180 days is the EU's limit for account access (RTS on SCA, article 10a)."""


def _setting(
    default: Any,
    doc: str,
    *,
    unit: str = "",
    low: int | None = None,
    high: int | None = None,
    secret: bool = False,
) -> Any:
    return field(
        default=default, metadata={"doc": doc, "unit": unit, "low": low, "high": high, "secret": secret}
    )


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Settings:
    """Everything that can be set, valid as a whole: a fault raises ConfigurationError, listing all."""

    kafka: str = _setting("127.0.0.1:9092", "Bootstrap servers, HOST:PORT, comma-separated.")
    app_id: str = _setting(
        "notifier", "Prefix of consumer groups and transactional ids; one per installation."
    )
    guarantee: Guarantee = _setting(
        "exactly_once", "What a crash may do to outputs: nothing at all, or repeat them unchanged."
    )
    partitions: int = _setting(
        4,
        "Partitions of every topic that `up` and `topics apply` create; fixed for life, 24 in production.",
        low=1,
        high=10_000,
    )
    replication_factor: int = _setting(1, "Copies of every topic; 3 in production.", low=1, high=32_767)

    ops_host: str = _setting("127.0.0.1", "Address that /livez, /readyz and /metrics listen on.")
    ops_port: int = _setting(6066, "Port of the same; 0 takes a free one and prints it.", low=0, high=65_535)

    session_timeout_ms: int = _setting(
        6_000,
        "Silence after which Kafka gives a worker's partitions to another.",
        unit="ms",
        low=1_000,
        high=1_800_000,
    )
    heartbeat_interval_ms: int = _setting(
        1_500,
        "Time between heartbeats; at most a third of the session timeout.",
        unit="ms",
        low=100,
        high=600_000,
    )
    transaction_timeout_ms: int = _setting(
        10_000,
        "Time after which Kafka aborts a transaction left open by a crash.",
        unit="ms",
        low=1_000,
        high=900_000,
    )
    consent_fetch_wait_ms: int = _setting(
        10, "Longest wait of the broker for a fetch of consent requests.", unit="ms", low=0, high=1_000
    )
    event_fetch_wait_ms: int = _setting(
        20, "Longest wait of the broker for a fetch of events.", unit="ms", low=0, high=5_000
    )
    max_value_bytes: int = _setting(
        1_048_576,
        "Largest value that is looked at; larger ones are rejected.",
        unit="bytes",
        low=1_024,
        high=104_857_600,
    )
    kernel: Kernel = _setting(
        "auto", "How batches are decided: compiled where numba is installed, which is faster, or interpreted."
    )
    batch_max_records: int = _setting(
        32_000, "Most records decided in one transaction.", unit="records", low=1, high=1_000_000
    )
    transaction_interval_ms: int = _setting(
        20,
        "Least time from one decision of a partition number to the next, unless a batch is full: fewer and "
        "larger transactions. Not for at_least_once, which has none.",
        unit="ms",
        low=0,
        high=1_000,
    )
    drain_timeout_s: int = _setting(
        20,
        "Longest time from SIGTERM to the end; after half of it, work is abandoned.",
        unit="s",
        low=5,
        high=3_600,
    )

    stall_timeout_s: int = _setting(
        60,
        "A worker that stands still for this long with records before it starts anew; after half, not ready.",
        unit="s",
        low=10,
        high=86_400,
    )
    compaction_tick_s: int = _setting(
        3_600,
        "Without consent requests for so long a worker writes a mark to its state topics: Kafka compacts no "
        "log that stands still, and what was erased would stay.",
        unit="s",
        low=1,
        high=86_400,
    )
    reminder_interval_s: int = _setting(
        3_600,
        "A worker looks so often which consents are about to end, to tell people 30, 7 and 1 days before.",
        unit="s",
        low=1,
        high=86_400,
    )
    dead_letter_percent: int = _setting(
        50,
        "A worker stops when more of its last records went to dead letters; 100: never.",
        unit="percent",
        low=1,
        high=100,
    )
    dead_letter_window_records: int = _setting(
        100_000,
        "How many of the last records that share is of; before there are as many, nothing stops.",
        unit="records",
        low=100,
        high=1_000_000_000,
    )

    dead_letter_key: Path | None = _setting(
        None, "Public key (JWK) to which refused values are sealed on dead letters; without it, left out."
    )
    evidence_key: str | None = _setting(
        None,
        "Key of the pseudonyms in consent.evidence, 32 characters or more; better given as a file. Without "
        "it they end with the subject's salt, so that an erasure leaves evidence of nobody.",
        secret=True,
    )
    receipt_key: Path | None = _setting(
        None, "Private key (JWK) that signs the receipts of `consent receipt` and `consent erase`."
    )
    controller: str = _setting(
        "the operator of this installation", "Who answers for the personal data, as receipts name it."
    )

    max_age_security_s: int = _setting(900, "Security alerts older than this stay silent.", unit="s", low=1)
    max_age_balance_s: int = _setting(3_600, "Balances older than this stay silent.", unit="s", low=1)
    max_age_receipt_s: int = _setting(
        21_600, "Receipts, refunds and declined payments older than this stay silent.", unit="s", low=1
    )
    max_age_shipping_s: int = _setting(172_800, "Shipping news older than this stay silent.", unit="s", low=1)
    future_tolerance_s: int = _setting(
        300, "Events dated further ahead than this are rejected.", unit="s", low=0, high=86_400
    )
    consent_profile: ConsentProfile = _setting(
        "default", "Longest validity of a consent: 365 days, or 180 in the EU profile."
    )
    clock_offset_ms: int = _setting(
        0,
        "Added to the clock that decisions use, for tests and simulations; a worker warns of it.",
        unit="ms",
    )

    security_protocol: SecurityProtocol = _setting("PLAINTEXT", "How to talk to Kafka.")
    sasl_mechanism: SaslMechanism = _setting("PLAIN", "How to log in, with a SASL protocol.")
    sasl_username: str | None = _setting(None, "Who logs in, with a SASL protocol.")
    sasl_password: str | None = _setting(None, "Their password; better given as a file.", secret=True)
    ssl_cafile: Path | None = _setting(None, "Certificates to trust, PEM; without it, the system's.")

    home: Path = _setting(
        Path("~/.local/share/notifier"), "Folder of the embedded broker's data and of caches."
    )

    def __post_init__(self) -> None:
        """Expand `~` and check everything that can be wrong, at once."""
        object.__setattr__(self, "home", self.home.expanduser())
        faults = _faults({item.name: getattr(self, item.name) for item in SETTINGS})
        if faults:
            raise _refusal(faults)

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **overrides: Any) -> Self:
        """Return the settings of `environ`, where `overrides` (fields by name; None is "not given") win.

        Raises:
            ConfigurationError: a variable is unknown, unreadable or out of range; the message names all.
        """
        texts, faults = read_variables(SETTINGS, environ)
        given: dict[str, Any] = texts | {
            name: value for name, value in overrides.items() if value is not None
        }
        values = {item.name: item.default for item in SETTINGS} | {"home": _data_home(environ)}
        for item in SETTINGS:
            if item.name in given:
                try:
                    values[item.name] = coerce(item, given.pop(item.name))
                except ValueError as error:
                    faults.append(f"{item.variable}: {error}")
        if given:
            raise TypeError(f"no such field of Settings: {', '.join(sorted(given))}")
        if faults := faults + _faults(values):
            raise _refusal(faults)
        return cls(**values)

    def shown(self, item: Setting) -> str:
        """Return a field's value as text, secrets masked, empty when it is not set."""
        value = getattr(self, item.name)
        if value is None:
            return ""
        return MASK if item.secret else str(value)

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{item.name}={self.shown(item)!r}' for item in SETTINGS)})"

    @property
    def consent_max_days(self) -> int:
        """Longest validity of a consent in days."""
        return CONSENT_DAYS[self.consent_profile]


SETTINGS: tuple[Setting, ...] = tuple(
    Setting(name=item.name, kind=item.type, default=item.default, **item.metadata)
    for item in fields(Settings)
    if item.default is not MISSING
)
"""The table of all fields, in the order of `docs/settings.md`."""


def _faults(values: Mapping[str, Any]) -> list[str]:
    ranges = (range_fault(item, values[item.name]) for item in SETTINGS)
    return [fault for fault in ranges if fault] + cross_faults(values)


def _refusal(faults: list[str]) -> ConfigurationError:
    count = "1 setting" if len(faults) == 1 else f"{len(faults)} settings"
    lines = "\n".join(f"  {fault}" for fault in faults)
    return ConfigurationError(
        f"{count} cannot work:\n{lines}\nCorrect the environment or options; see docs/settings.md."
    )


def _data_home(environ: Mapping[str, str]) -> Path:
    """Return the folder for our data by the XDG base directory rules."""
    base = environ.get("XDG_DATA_HOME", "")
    if not base.startswith("/"):
        base = f"{environ.get('HOME', '~')}/.local/share"
    return Path(base) / "notifier"
