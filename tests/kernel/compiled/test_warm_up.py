"""After the warm-up nothing is compiled any more, whatever batches hold."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.cluster import TREE

pytest.importorskip("numba", reason="numba is not installed (extra `fast`): nothing is compiled")
pytestmark = pytest.mark.timeout(400)

COMPILES = """
import json
from numba.core import event
from streams.kernel.compiled.warm_up import warm_up
from tests.kernel.compiled.fuzz import fuzz

class Names(event.Listener):
    def on_start(self, started):
        names.append(started.data["dispatcher"].py_func.__qualname__)

    def on_end(self, _):
        pass

names = []
event.register("numba:compile", Names())
warm_up()
by_warm_up, names = names, []
fates = fuzz(1_000, 1)
print(json.dumps([by_warm_up, names, fates]))
"""


def test_the_warm_up_compiles_apart_and_leaves_nothing_to_compile(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", COMPILES], cwd=TREE, env=environment, capture_output=True, text=True,
        timeout=380, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    by_warm_up, later, fates = json.loads(done.stdout)
    assert fates["NOTIFY"] > 0
    assert by_warm_up == [], "compiled in this process, not by the two beside it"
    assert later == []
