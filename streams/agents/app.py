"""The Faust app: one agent that routes fetched batches to the task of their partition number.

Faust's web server stays off (it listens on all interfaces and serves tables without login), its commit and
its transactions too. Read next: `worker.py`.
"""

import asyncio
from typing import Any

import faust
import mode
from faust.types import TransportT

from streams.kafka.carrier import Carrier
from streams.kafka.link_stage import LinkStage
from streams.kafka.membership import rebalance_timeout_s, request_timeout_s
from streams.kafka.transport import BatchConsumer, BatchTransport
from streams.kafka.worker_connections import Connections
from streams.settings import Settings
from streams.wire.topics import EVENT_TOPICS

STREAM_BUFFER = 16  # messages; one holds everything that a fetch gave


class WholeBatches(faust.Schema):  # type: ignore[type-arg]  # not subscriptable when it runs
    """Passes the batches of a message on as they are."""

    def compile(self, app: Any, **_: Any) -> Any:
        """Return Faust's decode function: it wraps, nothing else."""
        create_event = app.create_event

        async def decode(message: Any, **_: Any) -> Any:
            return create_event(None, message.value, message.headers, message)

        return decode


class NotifierApp(faust.App):
    """Faust app whose consumer hands over record batches to a Carrier.

    Attributes:
        carrier: owns the partition tasks; started with the app, before anything is fetched.
        links: owns the tasks of the channel space, in a consumer group of its own.
    """

    settings: Settings
    carrier: Carrier
    links: LinkStage

    def _new_transport(self) -> TransportT:
        return BatchTransport(self.conf.broker_consumer, self)

    async def on_start(self) -> None:
        """Connect the carrier before the consumer starts."""
        await self.carrier.start()
        await self.links.start()
        await super().on_start()

    async def on_stop(self) -> None:
        """Let go of the links, disconnect the carrier; its tasks ended when the consumer stopped."""
        await asyncio.gather(super().on_stop(), self.links.stop())
        await self.carrier.stop()


def build_app(settings: Settings, shared: Connections) -> NotifierApp:
    """Return the app for these settings.

    It connects when it is started. Must be called on the event loop that runs it.
    """
    app = NotifierApp(
        settings.app_id,
        broker=[f"kafka://{server.strip()}" for server in settings.kafka.split(",")],
        store="memory://",
        web_enabled=False,
        topic_partitions=shared.partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        stream_buffer_maxsize=STREAM_BUFFER,
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=settings.session_timeout_ms / 1000,
        broker_heartbeat_interval=settings.heartbeat_interval_ms / 1000,
        broker_rebalance_timeout=rebalance_timeout_s(settings),
        broker_request_timeout=request_timeout_s(settings),
        agent_supervisor=mode.CrashingSupervisor,
    )
    app.settings = settings

    def consumer() -> BatchConsumer:
        return app.consumer  # type: ignore[return-value]  # our transport makes it

    def failed(error: BaseException) -> None:
        app.add_future(app.crash(error))

    app.carrier = Carrier(
        shared,
        commit_offsets=lambda offsets: consumer().commit_offsets(offsets),
        is_member=lambda: consumer().is_member(),
        highwater=lambda tp: consumer().fetched_highwater(tp),
        on_failure=failed,
    )

    app.links = LinkStage(shared, failed)

    async def assigned(_app: Any, *_: Any, **__: Any) -> None:
        app.carrier.assign(consumer().assignment())

    app.on_rebalance_complete.connect(assigned, weak=False)  # type: ignore[arg-type]  # its protocol names `signal`
    events = app.topic(*EVENT_TOPICS, schema=WholeBatches(), acks=False)

    @app.agent(events, name="route", supervisor_strategy=mode.CrashingSupervisor)
    async def route(stream: Any) -> None:
        async for event in stream.noack().events():
            if event.value.generation == app.consumer_generation_id:
                for batches in event.value.partitions:
                    app.carrier.arrived(batches)

    return app
