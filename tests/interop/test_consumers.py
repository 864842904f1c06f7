"""Consumers of other libraries and languages see as many notifications as were decided."""

import re
import shutil
import subprocess
from collections import Counter

import pytest

from streams.kafka.jars import java_command
from tests.harness.messages import acknowledged, batches
from tests.interop.conftest import Stage

pytestmark = [pytest.mark.broker, pytest.mark.interop, pytest.mark.timeout(180)]
DELIVERY = "messenger-delivery"


def notified(stage: Stage) -> Counter[str]:
    """Count the NOTIFY decisions of each notification."""
    return Counter(
        row["notification_id"]
        for batch in batches(stage.cluster)
        for row in batch["decisions"]
        if row["outcome"] == "NOTIFY"
    )


def ids_in(text: str) -> Counter[str]:
    """Count the notification ids in headers as both tools print them."""
    return Counter(re.findall(r"\bce_id[:=]([0-9a-f-]{36})", text))


def tell(stage: Stage, name: str) -> None:
    """Make sure that there is something to read."""
    subjects = stage.subjects(name, 60)
    before = stage.decided()
    acknowledged(stage.cluster.producer(), "bank.transactions", stage.events(subjects))
    stage.wait(before, 60)


def test_kcat_reads_as_many_notifications_as_were_decided(stage: Stage) -> None:
    kcat = shutil.which("kcat")
    if kcat is None:
        pytest.skip("kcat is not installed: apt-get install kcat")
    tell(stage, "kcat")
    where = ("-b", stage.cluster.bootstrap, "-t", DELIVERY, "-X", "isolation.level=read_committed")
    done = subprocess.run(
        [kcat, "-C", *where, "-o", "beginning", "-e", "-q", "-f", "%h\n"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ids_in(done.stdout) == notified(stage)


def test_the_java_console_consumer_reads_as_many_notifications_as_were_decided(stage: Stage) -> None:
    tell(stage, "console")
    arguments = ["--bootstrap-server", stage.cluster.bootstrap, "--topic", DELIVERY, "--from-beginning"]
    show = ["--formatter-property", "print.headers=true", "--formatter-property", "print.value=false"]
    done = subprocess.run(
        java_command(
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            *(*arguments, *show, "--isolation-level", "read_committed", "--timeout-ms", "8000"),
        ),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    wanted = notified(stage)
    assert ids_in(done.stdout) == wanted, done.stderr[-2000:]
    processed = re.search(r"Processed a total of (\d+) messages", done.stdout + done.stderr)
    assert processed is not None
    assert int(processed[1]) == wanted.total()
