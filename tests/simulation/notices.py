"""Notices that a consent is about to end, while workers die, sleep and are given partitions: everybody who is
owed one is told, nobody twice, and nobody after a revocation that stood before the decision.

`python -m tests.simulation.notices --seeds 100`, or `--first 7 --seeds 1`.
"""

import argparse
import asyncio
import logging
import sys
from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

from streams.wire.topics import CONSENT_REQUESTS, DELIVERY, NOTIFIER_STATE
from tests.harness.messages import balance, consent, request
from tests.simulation import run, worker
from tests.simulation.cluster import BASE_MS, Entry, SimCluster
from tests.simulation.run import FAULTS_S, SUBJECTS, Simulation, simulate
from verifier.avro import Reader, load_schema, schema_ids, unframe
from verifier.model.partitions import partition_of

DAY_MS = 86_400_000
PASS_S = 2.0
"""At most so long after its time a notice is told while nothing is wrong."""
IDS = schema_ids()


class Asked(NamedTuple):
    """What was asked of one subject's consent, by the times of appending.

    `told_from`: the first mark of the partition number; what was due before is not told.
    """

    granted_at: int
    told_from: int
    valid_until: int
    revoked_at: list[int]

    @property
    def due_at(self) -> int:
        """Return when the notice of one day is due: there is no other, as it is for less than a week."""
        return self.valid_until - DAY_MS


class Ending(Simulation):
    """Consents that end in a day and some seconds, so that notices fall due while faults happen."""

    cluster: SimCluster

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        Ending.cluster = self._cluster

    def _made(self, number: int) -> tuple[str, bytes, bytes]:
        chance = self._chance
        if number >= len(SUBJECTS):
            subject = chance.choice(SUBJECTS)
            value = balance(subject, f"e-{number}", as_of=self._cluster.now_ms())
            return "bank.balances", subject.encode(), value
        subject, due_s = SUBJECTS[number], chance.uniform(0, FAULTS_S)
        if chance.random() < 0.5:
            self._spawn(self._revoke(subject, due_s + chance.uniform(-0.1, PASS_S)))
        given = consent(valid_until=BASE_MS + DAY_MS + round(due_s * 1000), consent_id=subject)
        return CONSENT_REQUESTS, subject.encode(), self._request(subject, "GRANT", consent=given)

    def _request(self, subject: str, action: str, **fields: Any) -> bytes:
        return request(subject, action, "anna", request_id=f"{action} {subject}", **fields)

    async def _revoke(self, subject: str, at_s: float) -> None:
        """Take a consent back at that moment, about when its notice is told."""
        await asyncio.sleep(max(0.0, at_s - asyncio.get_running_loop().time()))
        slot = CONSENT_REQUESTS, partition_of(subject.encode(), run.PARTITIONS)
        value = self._request(subject, "REVOKE")
        self._cluster.append(slot, Entry(self._cluster.now_ms(), subject.encode(), value, [], None))
        self._cluster._tell()  # a producer of its own, without a network


def main(arguments: list[str]) -> int:
    """Run seeds; 0 if nothing was found in any."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.notices")
    parser.add_argument("--seeds", type=int, default=100, help="how many, from --first on")
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.CRITICAL)
    worker.SETTINGS = replace(worker.SETTINGS, reminder_interval_s=1)
    setattr(run, "Simulation", Ending)  # noqa: B010  # mypy: a module's own name
    setattr(run, "_judged", lambda *_: [])  # noqa: B010  # as above
    owed = failed = 0
    for seed in range(options.first, options.first + options.seeds):
        simulate(seed)
        requests, notices = _asked(Ending.cluster), _told(Ending.cluster)
        found = _faults(requests, notices)
        failed += bool(found)
        owed += sum(_is_owed(one) for one in requests.values())
        if found:
            sys.stdout.write(f"seed {seed}: {'; '.join(found)}\n")
    sys.stdout.write(f"{options.seeds} seeds, {owed} notices owed, {failed} failed\n")
    return 1 if failed else 0


def _asked(cluster: SimCluster) -> dict[str, Asked]:
    """Return what counts of the requests, by subject."""
    found: dict[str, Asked] = {}
    reader = Reader(load_schema("consent_request"))
    for (topic, partition), entries in cluster.logs.items():
        for entry in entries if topic == CONSENT_REQUESTS else ():
            if not entry.is_readable or entry.value is None:
                continue
            value = reader.read(unframe(entry.value, (IDS["consent_request"],))[1])
            known = found.get(value["subject"])
            if value["action"] == "REVOKE" and known is not None:
                known.revoked_at.append(entry.at_ms)
            elif value["action"] == "GRANT" and known is None:
                told_from = _first_mark(cluster, partition)
                found[value["subject"]] = Asked(entry.at_ms, told_from, value["consent"]["valid_until"], [])
    return found


def _first_mark(cluster: SimCluster, partition: int) -> int:
    reader = Reader(load_schema("position_marker"))
    markers = (
        reader.read(unframe(entry.value or b"", (IDS["position_marker"],))[1])
        for entry in cluster.logs[NOTIFIER_STATE, partition]
        if entry.is_readable and entry.key == b"\0position"
    )
    return int(next(markers)["reminded_until"])


def _told(cluster: SimCluster) -> list[dict[str, Any]]:
    """Return every committed notice."""
    reader = Reader(load_schema("notification"))
    delivered = [
        reader.read(unframe(entry.value or b"", (IDS["notification"],))[1])
        for (topic, _), entries in cluster.logs.items()
        for entry in entries
        if topic == DELIVERY and entry.is_readable
    ]
    return [one for one in delivered if one["kind"] == "SERVICE"]


def _is_owed(asked: Asked) -> bool:
    return asked.due_at > max(asked.granted_at, asked.told_from) and not asked.revoked_at


def _faults(requests: dict[str, Asked], notices: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with what was told."""
    counted = Counter(one["consent_id"] for one in notices)
    found = [f"{subject} was told {times} times" for subject, times in counted.items() if times > 1]
    found += [
        f"{subject} was not told"
        for subject, one in requests.items()
        if _is_owed(one) and not counted[subject]
    ]
    for notice in notices:
        subject, asked = notice["consent_id"], requests[notice["consent_id"]]
        if not asked.granted_at < asked.due_at == notice["occurred_at"] <= notice["decided_at"]:
            found.append(f"{subject} was told at a time that is not due")
        if any(at < notice["decided_at"] for at in asked.revoked_at):
            found.append(f"{subject} was told after it was revoked")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
