"""One seed: what is sent, which faults come when, and the judgement of the logs."""

import asyncio
import contextvars
from random import Random
from typing import Any

from streams.wire.topics import CONSENT_REQUESTS, CONSENT_STATE, DEAD_LETTERS, DECISIONS, DELIVERY, TOPICS
from tests.harness.messages import balance, consent, request, shipment, transaction
from tests.simulation.clock import StuckError, VirtualLoop
from tests.simulation.cluster import (
    BASE_MS,
    CLIENT,
    LONGEST_TRANSACTION_S,
    Entry,
    Part,
    SimCluster,
    Slot,
    State,
)
from tests.simulation.worker import SimWorker, install
from verifier.avro import Reader, load_schema, schema_ids, unframe
from verifier.conservation import Conservation
from verifier.evidence import EVENT_TOPICS, Batch, Evidence, Log, Position, Told
from verifier.invariant import Invariant
from verifier.invariants import Standing, check
from verifier.model.partitions import partition_of
from verifier.model.rules import Record
from verifier.recording import Recording, Request, Sent
from verifier.replay import Floor

PARTITIONS = 2
SUBJECTS = [f"sim:{number}" for number in range(12)]
RECORDS = 150
FAULTS_S, CALM_S = 40.0, 400.0
SESSION_S = 6.0
LOOKING_S = 5.0
"""After everything is decided: what was lost where nothing came any more is still looked for."""
JUDGED = ("I1", "I2", "I4", "I6", "I7", "I8", "I9", "I10", "I11")
"""I3 needs a reader beside the run, and I5 a worker that is never paused between barrier and write."""


class Simulation:
    """A cluster, two workers, and a plan of what happens to them."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)
        self._cluster = SimCluster(Random(seed + 1), {topic.name: PARTITIONS for topic in TOPICS})
        install(self._cluster)
        self._workers: list[SimWorker] = []
        self._background: set[asyncio.Task[None]] = set()
        self._floors: list[Floor] = []
        self.restarts = 0

    async def run(self) -> list[Invariant]:
        """Let it happen; return what is found in the logs."""
        CLIENT.set(_Outside())
        self._spawn(self._cluster.expire())
        self._workers = [SimWorker(self._cluster, PARTITIONS) for _ in range(2)]
        self._share()
        sending = asyncio.create_task(self._send())
        await self._strike()
        await sending
        self._cluster.is_faulty = False
        for worker in self._workers:
            worker.wake()
        self._share()
        await self._until_done()
        await asyncio.sleep(LOOKING_S)
        if self._cluster.needs_person:
            self._cluster.mend()
            await asyncio.sleep(LOOKING_S)
        for worker in self._workers:
            await worker.carrier.revoke()
            worker.kill()
        await asyncio.sleep(LONGEST_TRANSACTION_S + 2)  # what a stop left open is aborted by then
        for task in self._background:
            task.cancel()
        return _judged(self._cluster, self._floors)

    def _spawn(self, way: Any) -> "asyncio.Task[None]":
        task = asyncio.create_task(way)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _share(self) -> None:
        """Rebalance: each member gets its numbers, by chance."""
        first = self._chance.choice(([0], [1], [0, 1], []))
        owned = [first, [number for number in range(PARTITIONS) if number not in first]]
        for worker, numbers in zip(self._workers, owned, strict=True):
            worker.own(numbers)

    async def _strike(self) -> None:
        loop, pauses = asyncio.get_running_loop(), list["asyncio.Task[None]"]()
        while loop.time() < FAULTS_S:
            await asyncio.sleep(self._chance.uniform(0.05, 4))
            number = self._chance.randrange(2)
            match self._chance.randrange(4):
                case 0:
                    await self._crash(number)
                case 1:
                    pauses.append(
                        self._spawn(self._pause(number, self._chance.choice((1.0, 3.0, 8.0, 15.0))))
                    )
                case 2:
                    self._share()
                case _:
                    self._restart_failed()
        await asyncio.gather(*pauses)

    async def _crash(self, number: int) -> None:
        """Kill a worker; after its session the group goes on with a new one."""
        self._workers[number].kill()
        await asyncio.sleep(self._chance.uniform(0.1, SESSION_S))
        self._replace(number)

    async def _pause(self, number: int, seconds: float) -> None:
        """Stop a worker; beyond its session the other one gets what it had."""
        worker = self._workers[number]
        worker.pause()
        if seconds > SESSION_S:
            await asyncio.sleep(SESSION_S)
            worker.is_member = False
            if self._workers[number] is worker:
                self._workers[1 - number].own(range(PARTITIONS))
            seconds -= SESSION_S
        await asyncio.sleep(seconds)
        worker.wake()
        await asyncio.sleep(self._chance.uniform(0, 1))
        if self._workers[number] is worker:
            self._share()

    def _restart_failed(self) -> None:
        """Start anew what ended with an error, as whoever runs a worker does."""
        for number, worker in enumerate(self._workers):
            if worker.failure is not None:
                worker.kill()
                self._replace(number)

    def _replace(self, number: int) -> None:
        self.restarts += 1
        self._workers[number] = SimWorker(self._cluster, PARTITIONS)
        self._share()

    async def _send(self) -> None:
        """Append events and requests, some of them in transactions of others that stay open or abort."""
        chance, known = self._chance, list[tuple[str, bytes, bytes]]()
        for number in range(RECORDS):
            await asyncio.sleep(chance.uniform(0, 2 * FAULTS_S / RECORDS))
            made = chance.choice(known) if known and chance.random() < 0.05 else self._made(number)
            known.append(made)
            topic, key, value = made
            slot = topic, partition_of(key, PARTITIONS)
            part = None
            if chance.random() < 0.1:
                part = Part(self._cluster.end(slot))
                self._spawn(self._end(slot, part))
            if topic != CONSENT_REQUESTS:
                self._note(slot)
            self._cluster.append(slot, Entry(self._cluster.now_ms(), key, value, [], part))
            self._cluster._tell()  # a producer of its own, without a network

    def _note(self, slot: Slot) -> None:
        """Note which requests are acknowledged before an event is sent."""
        acknowledged = {
            partition: self._cluster.stable((CONSENT_REQUESTS, partition)) for partition in range(PARTITIONS)
        }
        self._floors.append(Floor(acknowledged, {slot: self._cluster.end(slot)}))

    async def _end(self, slot: Slot, part: Part) -> None:
        await asyncio.sleep(self._chance.uniform(0.01, 3))
        part.state = self._chance.choice((State.COMMITTED, State.ABORTED))
        self._cluster.append(slot, Entry(self._cluster.now_ms(), None, None, [], None, is_marker=True))
        self._cluster._tell()  # as above

    def _made(self, number: int) -> tuple[str, bytes, bytes]:
        chance, subject, now = self._chance, self._chance.choice(SUBJECTS), self._cluster.now_ms()
        name = f"e-{number}"
        if number < len(SUBJECTS) or chance.random() < 0.15:
            subject = SUBJECTS[number] if number < len(SUBJECTS) else subject
            action = "GRANT" if number < len(SUBJECTS) else chance.choice(("GRANT", "REVOKE"))
            given = consent(valid_until=BASE_MS + 86_400_000) if action == "GRANT" else None
            value = request(
                subject, action, f"user-of-{subject}", request_id=name, requested_at=now, consent=given
            )
            return CONSENT_REQUESTS, subject.encode(), b"garbage" if chance.random() < 0.05 else value
        match chance.randrange(4):
            case 0:
                return "bank.balances", subject.encode(), balance(subject, name, as_of=now)
            case 1:
                return "shipping.events", subject.encode(), shipment(subject, name, status_at=now)
            case 2 if chance.random() < 0.2:
                return "bank.transactions", subject.encode(), b"garbage"
            case _:
                amount = -chance.randrange(1, 10_000)
                value = transaction(subject, name, occurred_at=now, amount_minor=amount)
                return "bank.transactions", subject.encode(), value

    async def _until_done(self) -> None:
        """Wait until every input is done, as the group's offsets say.

        Raises:
            StuckError: not within CALM_S of virtual time.
        """
        loop = asyncio.get_running_loop()
        deadline, mending = loop.time() + CALM_S, loop.time() + CALM_S / 2
        wanted = (*EVENT_TOPICS, CONSENT_REQUESTS)
        while loop.time() < deadline:
            await asyncio.sleep(1)
            self._restart_failed()
            if loop.time() > mending and self._cluster.needs_person:
                self._cluster.mend()
            slots = [slot for slot in self._cluster.logs if slot[0] in wanted]
            if all(self._cluster.offsets.get(slot, 0) == self._cluster.end(slot) for slot in slots):
                return
        raise StuckError


class _Outside:
    """Whoever is no worker."""

    async def awake(self) -> None:
        """Return at once."""


def simulate(seed: int) -> list[Invariant]:
    """Run one seed; return the invariants, violations and all.

    Raises:
        StuckError: what was sent was not decided after all was well again.
    """
    loop = VirtualLoop()
    loop.set_task_factory(_owned)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(Simulation(seed).run())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _owned(
    loop: asyncio.AbstractEventLoop, way: Any, context: contextvars.Context | None = None, **named: Any
) -> "asyncio.Task[Any]":
    """Make a task, and note whose it is: a process that is killed takes all of its tasks along."""
    task = asyncio.Task(way, loop=loop, context=context, **named)
    owner = CLIENT.get(None) if context is None else context.get(CLIENT)
    if isinstance(owner, SimWorker):
        owner.tasks.add(task)
    return task


def _judged(cluster: SimCluster, floors: list[Floor]) -> list[Invariant]:
    recording, evidence = _recording(cluster)
    standing = Standing(
        cluster.offsets, {slot: (cluster.stable(slot), cluster.end(slot)) for slot in cluster.logs}
    )
    found = check(
        recording, Conservation(evidence, is_exactly_once=True).run(), standing, None, floors=floors
    )
    return [one for one in found if one.name in JUDGED]


def _recording(cluster: SimCluster) -> tuple[Recording, Evidence]:
    """Return the logs as a reader of committed records finds them."""
    found, evidence = Recording(PARTITIONS), Evidence()
    ids = schema_ids()
    batches, notifications = Reader(load_schema("decision_batch")), Reader(load_schema("notification"))
    for slot in cluster.logs:
        topic, partition = slot
        shown = _shown(cluster, slot)
        if topic in EVENT_TOPICS:
            found.events[slot] = [Record(topic, partition, at, one.key, one.value) for at, one in shown]
            evidence.logs[slot] = Log(0, [at for at, _ in shown])
        elif topic == CONSENT_REQUESTS:
            found.requests[partition] = [Request(at, one.key, one.value, one.at_ms) for at, one in shown]
        elif topic == CONSENT_STATE:
            for _, one in shown:
                found.keep_state(partition, one.key or b"", one.value)
        elif topic == DECISIONS:
            for at, one in shown:
                body = unframe(one.value or b"", (ids["decision_batch"],))[1]
                value = batches.read(body)
                found.batches.setdefault(value["partition"], []).append(value)
                evidence.batches.append(Batch(Position(topic, partition, at), body, value))
        elif topic == DELIVERY:
            for at, one in shown:
                value = notifications.read(unframe(one.value or b"", (ids["notification"],))[1])
                key = (one.key or b"").decode()
                sent = Sent(partition, at, key, value, dict(one.headers), one.value or b"", one.at_ms)
                found.sent.append(sent)
                evidence.told.append(
                    Told(
                        Position(topic, partition, at), key, value["notification_id"], value["recipient"],
                        value["kind"], Position(*sent.source),
                    )
                )  # fmt: skip
        elif topic == DEAD_LETTERS:
            for _, one in shown:
                headers = dict(one.headers)
                found.dead_letters.append(headers)
                place = [
                    headers[f"__streams.errors.{name}"].decode() for name in ("topic", "partition", "offset")
                ]
                evidence.dead_letters.append(Position(place[0], int(place[1]), int(place[2])))
    return found, evidence


def _shown(cluster: SimCluster, slot: Slot) -> list[tuple[int, Entry]]:
    return [(at, one) for at, one in enumerate(cluster.logs[slot]) if one.is_readable]
