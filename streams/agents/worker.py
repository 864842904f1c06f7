"""Runs a worker as a process: checks the cluster, serves the operations port, lives until a signal or fault.

Read next: `streams/cli/worker.py`.
"""

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import sys
import time
from collections.abc import Callable
from functools import partial

from streams.agents.app import NotifierApp, build_app
from streams.agents.repeats import Repeats
from streams.agents.stopping import FAILED, STARTED_ANEW, DrainingWorker, leave_on_signals, start_anew
from streams.agents.watch import Watch
from streams.core.pseudonyms import SALT_BYTES
from streams.errors import (
    ConfigurationError,
    KafkaUnreachableError,
    NotifierError,
    StandstillError,
    TopicError,
)
from streams.kafka import closed_connections, compression, record_batches
from streams.kafka.admin import require_topics
from streams.kafka.metadata import ClusterInfo
from streams.kafka.policy_settings import policy_of
from streams.kafka.result_writes import Seal
from streams.kafka.worker_connections import Connections
from streams.kernel.fold_batch import Secrets
from streams.kernel.path import COMPILED, INTERPRETED, Path, choose_path
from streams.ops.health import OpsServer, Readiness
from streams.ops.metrics import Metrics
from streams.settings import Settings
from streams.wire.topics import CONSENT_REQUESTS, TOPICS

log = logging.getLogger(__name__)

RETRY_S = 2.0
GC_THRESHOLDS = (100_000, 50, 100)  # a batch makes many objects and no cycles: collecting often is wasted


def run_worker(settings: Settings, choose: Callable[[str], Path] = choose_path) -> int:
    """Run a worker until SIGTERM or SIGINT (0) or a failure (its exit code, after one clear line on stderr).

    Args:
        settings: of this worker.
        choose: gives the path on which batches are decided for the setting `kernel`.

    Raises:
        NotifierError: the cluster or the settings do not allow a start.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("streams").setLevel(logging.INFO)
    for quieter in ("streams.agents.app", "streams.kafka.transport"):  # Faust's services log their every step
        logging.getLogger(quieter).setLevel(logging.WARNING)
    # brokers refuse a batch until its partition has joined the transaction: routine, and retried
    logging.getLogger("aiokafka.producer.sender").setLevel(logging.ERROR)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_no_cancellation)
        handler.addFilter(Repeats())
    leave_on_signals()
    cluster = _topics(settings)
    _check_partitions(cluster)
    _make_this_process_a_worker()
    reason = asyncio.run(_serve(settings, cluster, choose))
    if isinstance(reason, StandstillError):
        log.error("%s", reason.message)
        start_anew()
    return _exit_code(reason)


def _topics(settings: Settings) -> ClusterInfo:
    """Return the cluster and its topics; a worker that started anew waits for a Kafka that is away.

    Raises:
        NotifierError: no Kafka answers, or topics are missing.
    """
    while True:
        try:
            return asyncio.run(require_topics(settings, [topic.name for topic in TOPICS]))
        except KafkaUnreachableError as error:
            if STARTED_ANEW not in os.environ:
                raise
            log.warning("%s", error.message)
            time.sleep(RETRY_S)


def _make_this_process_a_worker() -> None:
    """Change what holds for a whole process: from here on it is good for nothing else."""
    record_batches.install()
    compression.install()
    closed_connections.install()
    gc.set_threshold(*GC_THRESHOLDS)
    with contextlib.suppress(ImportError):
        import uvloop  # optional: faster, not needed

        # a policy: `asyncio.run` takes a loop factory from Python 3.12 on only
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Keep out the tracebacks that Faust logs of agents cancelled by a stop, and of its thread when that
    ended before.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, asyncio.CancelledError) or str(error) == "Event loop is closed")


def seal_of(settings: Settings) -> Seal | None:
    """Return what seals values of dead letters, None if they are left out.

    Raises:
        ConfigurationError: the key cannot be used.
    """
    if settings.dead_letter_key is None:
        return None
    from streams.ops.keys import read_key, seal  # cryptography takes a tenth of a second to import

    return partial(seal, read_key("dead-letters", settings.dead_letter_key, is_private=False))


def secrets_of(settings: Settings) -> Secrets:
    """Return what pseudonyms are made with. Never raises."""
    key = settings.evidence_key
    return Secrets(partial(secrets.token_bytes, SALT_BYTES), None if key is None else key.encode())


def clock_of(settings: Settings) -> Callable[[], int]:
    """Return the decision clock: UTC milliseconds, shifted by the setting for simulations."""
    if settings.clock_offset_ms:
        log.warning(
            "decisions are made %d ms off the real time (NOTIFIER_CLOCK_OFFSET_MS)", settings.clock_offset_ms
        )
    offset_ms = settings.clock_offset_ms
    return lambda: time.time_ns() // 1_000_000 + offset_ms


async def _serve(
    settings: Settings, cluster: ClusterInfo, choose: Callable[[str], Path]
) -> BaseException | None:
    """Run until a signal or a failure, and return that."""
    metrics = Metrics(cluster.topics[CONSENT_REQUESTS].partitions)
    path = _kernel(settings, choose)
    shared = Connections(
        settings,
        cluster,
        policy_of(settings),
        clock_of(settings),
        metrics,
        path,
        secrets_of(settings),
        seal_of(settings),
    )
    app = build_app(settings, shared)
    loop = asyncio.get_running_loop()

    def failed(error: NotifierError) -> None:
        if isinstance(error, StandstillError):  # what stands still may not stop either
            loop.call_later(2 * settings.drain_timeout_s, worker.start_anew_unless_told_to_stop)
        app.add_future(app.crash(error))

    watch = Watch(settings, cluster, app.carrier, app.links, metrics, failed)
    ops = OpsServer(settings.ops_host, settings.ops_port, metrics, lambda: _readiness(app, watch))
    await ops.start()
    log.info("worker of %s: operations on http://%s:%d", settings.app_id, settings.ops_host, ops.port)
    worker = DrainingWorker(app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.drain_timeout_s = settings.drain_timeout_s
    worker.spinner = None
    watching = asyncio.create_task(watch.run(), name="watch")
    watching.add_done_callback(lambda task: _pass_on(task, app))
    try:
        await worker.start_unless_told_to_stop()
        await worker.wait_until_stopped()
    finally:
        watching.cancel()
        await _stop_in_time(worker, app, settings.drain_timeout_s)
        await ops.stop()
    reason = app.crash_reason or worker.crash_reason
    return None if worker.is_told_to_stop and isinstance(reason, StandstillError) else reason


def _pass_on(watching: "asyncio.Task[None]", app: NotifierApp) -> None:
    """End a worker that nobody watches any more."""
    if not watching.cancelled() and (error := watching.exception()) is not None:
        app.add_future(app.crash(error))


async def _stop_in_time(worker: DrainingWorker, app: NotifierApp, timeout_s: float) -> None:
    """Stop; what does not stop is ended, or replaced if it stood still."""
    try:
        async with asyncio.timeout(timeout_s):
            await _stop(worker)
    except TimeoutError:
        worker.tell_it_hangs(timeout_s)
        if isinstance(app.crash_reason, StandstillError):
            worker.start_anew_unless_told_to_stop()
        worker.end_now(FAILED)


def _kernel(settings: Settings, choose: Callable[[str], Path]) -> Path:
    """Choose the path on which batches are decided, and compile it before the group waits for this worker.

    Raises:
        ConfigurationError: the compiled path is asked for and cannot be had.
    """
    try:
        path = choose(settings.kernel)
    except ImportError as error:
        raise ConfigurationError(
            "NOTIFIER_KERNEL is `compiled`, but numba is missing: install the extra `fast`, or set `auto`"
        ) from error
    if path.name == INTERPRETED:
        log.warning("batches are decided by the interpreted kernel, many times slower than the compiled one")
    else:
        how = "loading" if path.is_warm() else "compiling, once per version: about half a minute"
        log.info("kernel: %s", how)
    started = time.monotonic()
    path.warm_up()
    if path.name == COMPILED:
        log.info("kernel: ready after %.1f s", time.monotonic() - started)
    return path


async def _stop(worker: DrainingWorker) -> None:
    """Wait for the stop that a signal began, or stop now: its threads need the loop until then."""
    stopping = worker._signal_stop_future  # noqa: SLF001  # mode tells of its stop nowhere else
    if stopping is not None:
        await stopping
    await worker.stop()


def _check_partitions(cluster: ClusterInfo) -> None:
    """Refuse topics of one key space with different partition counts: joins would look in the wrong place.

    Raises:
        TopicError: names each count.
    """
    counts: dict[str, dict[int, list[str]]] = {}
    for topic in TOPICS:
        counts.setdefault(topic.space, {}).setdefault(cluster.topics[topic.name].partitions, []).append(
            topic.name
        )
    for space, by_count in counts.items():
        if len(by_count) > 1:
            told = "; ".join(
                f"{count} partitions: {', '.join(names)}" for count, names in sorted(by_count.items())
            )
            raise TopicError(
                f"topics of the {space} space have different partition counts ({told}). "
                "Delete the odd ones and create them with `notifier topics apply`."
            )


def _readiness(app: NotifierApp, watch: Watch) -> Readiness:
    reasons = (*app.carrier.not_ready(), *app.links.not_ready(), *watch.reasons())
    spaces = {"partitions": app.carrier.owned(), "link_partitions": app.links.owned()}
    details = {
        space: {str(number): waits_for or "nothing" for number, waits_for in owned.items()}
        for space, owned in spaces.items()
    }
    return Readiness(not reasons, reasons, details)


def _exit_code(reason: BaseException | None) -> int:
    """Say why the worker ended, if it failed; return the process's exit code."""
    if reason is None:
        return 0
    if isinstance(reason, NotifierError):
        log.error("%s", reason.message)
        return reason.exit_code
    log.error("worker failed: %s", type(reason).__name__, exc_info=reason)
    return 1
