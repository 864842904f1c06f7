"""One subject in a model of one partition, told what happens by small words."""

from typing import Any

from tests.model import values
from verifier.model.consents import Answer
from verifier.model.rules import Model, Record

T = 1_700_000_000_000
HOUR, DAY, MINUTE = 3_600_000, 86_400_000, 60_000
SUBJECT = "bank:account-00001234"
FAR = T + 100 * DAY
NOTIFY = "u:NOTIFY notify"


class Scene:
    """One subject in a model of one partition; every answer is `holder:OUTCOME reason` joined by commas."""

    def __init__(self) -> None:
        self.model = Model(0, 1)
        self.last: dict[str, Any] = {}

    def ask(
        self, action: str, user: str | None, at: int, *, subject: str = SUBJECT, **fields: Any
    ) -> Answer | None:
        value = values.request(subject, action, user, **fields)
        return self.model.fold(SUBJECT.encode(), value, at)

    def grant(
        self, user: str = "u", at: int = T - DAY, action: str = "GRANT", **consent: Any
    ) -> Answer | None:
        given = values.consent(**{"valid_until": FAR, **consent})
        return self.ask(action, user, at, consent=given)

    def raw(
        self, value: bytes | None, now: int = T, topic: str = "bank.transactions", key: bytes | None = None
    ) -> str:
        rows = self.model.decide(Record(topic, 0, 0, SUBJECT.encode() if key is None else key, value), now)
        self.last = next((row.notification for row in rows if row.notification), {})
        return ", ".join(f"{row.holder or ''}:{row.outcome} {row.reason or row.rule}" for row in rows)

    def pay(self, event_id: str, at: int = T, now: int = T, **fields: Any) -> str:
        return self.raw(values.transaction(SUBJECT, at, event_id=event_id, **fields), now)

    def step(self, event_id: str, status: str, amount: int = -1000, **fields: Any) -> str:
        named = {"lifecycle_id": "l-1", "status": status, "amount_minor": amount, **fields}
        return self.pay(event_id, **named)

    def hold(self, event_id: str, at: int = T, now: int = T, **fields: Any) -> str:
        return self.raw(values.balance(SUBJECT, at, event_id=event_id, **fields), now, "bank.balances")

    def warn(self, event_id: str, at: int = T, now: int = T, **fields: Any) -> str:
        return self.raw(values.alert(SUBJECT, at, event_id=event_id, **fields), now, "bank.security")

    def ship(self, event_id: str, status: str, at: int = T, now: int = T, **fields: Any) -> str:
        value = values.shipment(SUBJECT, at, event_id=event_id, status=status, **fields)
        return self.raw(value, now, "shipping.events")
