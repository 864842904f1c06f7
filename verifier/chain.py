"""The hash chain of `notifier.decisions` alone, also after retention has deleted its beginning.

Each hash covers everything before it. So a checkpoint, the signed hash of one batch, vouches for all that is
left before that batch, whoever could write to the topic since; what comes after it is only as good as the
chain itself. Signatures are verified by joserfc with the public key. Imports `conservation`, `topics`. Read
next: `__main__.py`. Source: docs/privacy.md; RFC 7515, RFC 8037.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from verifier.conservation import batch_hash
from verifier.evidence import Batch, Position
from verifier.topics import DECISIONS, Topics, read_batches

ALGORITHM, KIND = "Ed25519", "chain-checkpoint+jws"
MOST_BYTES = 64 << 20


class CheckpointError(Exception):
    """A file of checkpoints, or the key, is not what it must be; the text says which line and why."""


class Head(NamedTuple):
    """What a checkpoint says of one partition, and when it was made."""

    partition: int
    offset: int
    hash: str
    issued_at: str


@dataclass
class Chain:
    """One partition: what is kept of it, and the last checkpoint that vouches for it, if any does."""

    first_offset: int
    next_offset: int
    batches: int = 0
    vouched_by: Head | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        vouched = self.vouched_by
        return {
            "from": self.first_offset,
            "to": self.next_offset,
            "batches": self.batches,
            "signed_up_to": None if vouched is None else vouched.offset,
            "signed_at": None if vouched is None else vouched.issued_at,
        }


@dataclass
class ChainReport:
    """All partitions, and what is wrong: each violation names a position."""

    chains: dict[int, Chain] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        chains = {str(partition): chain.as_json() for partition, chain in sorted(self.chains.items())}
        return {"partitions": chains, "violations": self.violations}


def read_checkpoints(file: Path, key_file: Path, cluster_id: str | None) -> list[Head]:
    """Return the heads of every checkpoint in a file, one compact JWS a line, all verified.

    Raises:
        CheckpointError: the key is none, a signature does not fit, or a line speaks of another cluster.
    """
    try:
        key = OKPKey.import_key(json.loads(key_file.read_bytes()[:MOST_BYTES]))
        lines = file.read_text(encoding="ascii")
    except (OSError, ValueError, TypeError, KeyError, JoseError) as error:
        raise CheckpointError(f"{key_file} or {file} cannot be read: {type(error).__name__}") from error
    if len(lines) > MOST_BYTES:
        raise CheckpointError(f"{file} has over {MOST_BYTES} bytes")
    return [
        head
        for number, line in enumerate(lines.splitlines(), 1)
        if line.strip()
        for head in _heads(line.strip(), key, cluster_id, f"{file}, line {number}")
    ]


def _heads(token: str, key: OKPKey, cluster_id: str | None, where: str) -> Iterator[Head]:
    try:
        signed = jws.deserialize_compact(token, key, [ALGORITHM])
        told = json.loads(signed.payload)
        kind, cluster, topic = signed.headers().get("typ"), told["cluster_id"], told["topic"]
        heads = [
            Head(int(one["partition"]), int(one["offset"]), str(one["hash"]), str(told["issued_at"]))
            for one in told["heads"]
        ]
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{where}: no checkpoint that this key has signed") from error
    if kind != KIND or topic != DECISIONS:
        raise CheckpointError(f"{where}: signed, but no checkpoint of {DECISIONS}")
    if cluster_id is not None and cluster != cluster_id:
        raise CheckpointError(f"{where}: of cluster {cluster}, this is {cluster_id}")
    yield from heads


def check_chain(
    batches: Iterable[Batch | Position], ends: Mapping[int, tuple[int, int]], heads: Iterable[Head] | None
) -> ChainReport:
    """Check every hash, and that what was signed is still there.

    Args:
        batches: those of every partition in offset order; a Position alone: a record that cannot be read.
        ends: first and next offset of each partition.
        heads: of the checkpoints; None: there are none, and nothing is asked of them.
    """
    report = ChainReport({partition: Chain(*range_) for partition, range_ in ends.items()})
    hashes: dict[tuple[int, int], str] = {}
    last: dict[int, str] = {}
    roots: dict[int, Position] = {}
    for batch in batches:
        if isinstance(batch, Position):
            report.violations.append(f"{batch}: cannot be read")
            continue
        position, partition = batch.position, batch.position.partition
        previous, stated = batch.value["previous_hash"], batch.value["hash"]
        report.chains[partition].batches += 1
        if partition in last and previous != last[partition]:
            report.violations.append(f"{position}: does not follow from the batch before it")
        if partition not in last and previous:
            roots[partition] = position
        if stated != batch_hash(batch.body, previous):
            report.violations.append(f"{position}: its hash is not that of its content")
        last[partition] = hashes[partition, position.offset] = stated
    if heads is not None:
        _compare(report, hashes, roots, sorted(heads, key=lambda head: head[:2]))
    return report


def _compare(
    report: ChainReport,
    hashes: Mapping[tuple[int, int], str],
    roots: Mapping[int, Position],
    heads: Iterable[Head],
) -> None:
    for head in heads:
        chain = report.chains.get(head.partition)
        where = f"{DECISIONS}/{head.partition}/{head.offset}"
        if chain is None:
            report.violations.append(f"{where}: was signed at {head.issued_at}; there is no such partition")
        elif head.offset < chain.first_offset:
            continue  # retention has deleted it
        elif hashes.get((head.partition, head.offset)) != head.hash:
            report.violations.append(f"{where}: is not the batch that was signed at {head.issued_at}")
        else:
            chain.vouched_by = head
    for partition, root in roots.items():
        if report.chains[partition].vouched_by is None:
            report.violations.append(f"{root}: begins amid the chain, and no checkpoint vouches for it")


def collect_chain(topics: Topics) -> tuple[dict[int, tuple[int, int]], Iterator[Batch | Position]]:
    """Return the range of each partition of the decisions, and their batches as they are read.

    Raises UnreachableError.
    """
    starts = topics.starts(DECISIONS)
    ends = {partition: end for (_, partition), end in topics.ends((DECISIONS,)).items()}
    return {number: (first, ends[number]) for number, first in starts.items()}, read_batches(
        topics, list(starts)
    )
