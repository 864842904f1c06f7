"""What is sent while faults happen: events of three topics, and changes of consent of who is active."""

from random import Random

from tests.harness.messages import Record, balance, now_ms, request, shipment, transaction

SUBJECTS = 500
GRANTED = 350
CONSENT_SHARE = 0.05
REPEAT_SHARE = 0.02


class Stream:
    """Makes record after record; each event has an id of its own, unless it repeats an earlier one."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)
        self._newest_ms = 0
        self._recent: list[Record] = []

    @staticmethod
    def subjects() -> list[str]:
        """Return those who have granted before the first event."""
        return [f"chaos:{number:04d}" for number in range(GRANTED)]

    def make(self, number: int) -> Record:
        """Return record `number`; revocations and grants mostly meet who has an event soon."""
        chance = self._chance
        subject = f"chaos:{min(int(chance.paretovariate(1.1)) * 7 + chance.randrange(7), SUBJECTS - 1):04d}"
        if chance.random() < CONSENT_SHARE:
            action, user = chance.choice(
                (("REVOKE", None), ("REVOKE", f"user-of-{subject}"), ("GRANT", f"user-of-{subject}"))
            )
            return Record("consent.requests", subject, request(subject, action, user))
        if self._recent and chance.random() < REPEAT_SHARE:
            return chance.choice(self._recent)
        self._newest_ms = max(now_ms(), self._newest_ms + 1)  # a balance older than the last is silent
        name = f"c-{number}"
        topic, value = (
            ("bank.transactions", transaction(subject, name, amount_minor=-number)),
            ("bank.balances", balance(subject, name, as_of=self._newest_ms, booked_minor=number)),
            ("shipping.events", shipment(subject, name, status_at=self._newest_ms)),
        )[number % 3]
        made = Record(topic, subject, value)
        self._recent = [*self._recent[-49:], made]
        return made
