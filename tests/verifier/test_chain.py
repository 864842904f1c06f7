"""What retention left of the chain is vouched for by a signature, or it is said that nothing does."""

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from tests.verifier.test_conservation import batches, sealed
from verifier.chain import CheckpointError, Head, check_chain, read_checkpoints
from verifier.evidence import Batch, Position

SIGNED_AT = "2026-01-01T00:00:00Z"


def chained(count: int) -> list[Batch]:
    """Return batches 0, 2, 4 ...: each transaction leaves a mark."""
    found: list[Batch] = []
    for number in range(count):
        previous = found[-1].value["hash"] if found else ""
        found.append(sealed({**batches()[0], "decided_at": 2 * number, "previous_hash": previous}))
    return found


def head(batch: Batch, **changes: Any) -> Head:
    return Head(batch.position.partition, batch.position.offset, batch.value["hash"], SIGNED_AT)._replace(
        **changes
    )


def violations(kept: list[Batch | Position], heads: list[Head] | None, first: int = 0) -> list[str]:
    return check_chain(kept, {0: (first, 10)}, heads).violations


def test_a_whole_chain_is_fine_with_and_without_a_checkpoint() -> None:
    chain = chained(5)
    assert violations([*chain], None) == []
    report = check_chain(chain, {0: (0, 10)}, [head(chain[1]), head(chain[3])])
    assert report.violations == []
    assert report.as_json()["partitions"]["0"] == {
        "from": 0, "to": 10, "batches": 5, "signed_up_to": 6, "signed_at": SIGNED_AT,
    }  # fmt: skip


def test_a_beginning_that_retention_took_needs_a_checkpoint_after_it() -> None:
    kept = chained(5)[2:]
    assert violations([*kept], None, 4) == []
    assert violations([*kept], [head(kept[1])], 4) == []
    before = head(chained(5)[0])
    for heads in ([], [before]):
        assert violations([*kept], heads, 4) == [
            "notifier.decisions/0/4: begins amid the chain, and no checkpoint vouches for it"
        ]


def test_a_chain_made_anew_by_somebody_who_can_write_is_seen() -> None:
    told = chained(3)
    changed = sealed({**told[0].value, "policy_version": "another"})
    forged = [changed]
    for batch in told[1:]:
        forged.append(sealed({**batch.value, "previous_hash": forged[-1].value["hash"]}))
    assert violations([*forged], None) == [], "its own hashes say nothing"
    assert violations([*forged], [head(told[2])]) == [
        f"notifier.decisions/0/4: is not the batch that was signed at {SIGNED_AT}"
    ]


def test_an_end_that_was_cut_off_is_seen() -> None:
    told = chained(3)
    assert violations([*told[:2]], [head(told[2])]) == [
        f"notifier.decisions/0/4: is not the batch that was signed at {SIGNED_AT}"
    ]


def test_what_is_removed_altered_reordered_or_unreadable_is_named() -> None:
    one, two, three = chained(3)
    follows = "does not follow from the batch before it"
    assert violations([one, three], None) == [f"notifier.decisions/0/4: {follows}"]
    assert len(violations([two, one, three], None)) == 2
    altered = two._replace(body=two.body.replace(b"x", b"y", 1))
    assert violations([one, altered, three], None) == [
        "notifier.decisions/0/2: its hash is not that of its content"
    ]
    assert violations([one, Position("notifier.decisions", 0, 1), two], None) == [
        "notifier.decisions/0/1: cannot be read"
    ]


def test_a_partition_that_was_signed_must_be_there() -> None:
    gone = violations([], [head(chained(1)[0], partition=7)])
    assert gone == [f"notifier.decisions/7/0: was signed at {SIGNED_AT}; there is no such partition"]


KEY = OKPKey.generate_key("Ed25519")
PAYLOAD = {
    "issued_at": SIGNED_AT,
    "cluster_id": "here",
    "topic": "notifier.decisions",
    "heads": [{"partition": 0, "offset": 4, "hash": "aa", "decided_at": SIGNED_AT}],
}


def token(payload: Any = None, kind: str = "chain-checkpoint+jws", key: OKPKey = KEY) -> str:
    text = json.dumps(PAYLOAD if payload is None else payload)
    return jws.serialize_compact({"alg": "Ed25519", "typ": kind}, text, key, ["Ed25519"])


def read(folder: Path, *lines: str, cluster_id: str | None = "here") -> list[Head]:
    file, key = folder / "checkpoints", folder / "key"
    file.write_text("\n".join(lines) + "\n")
    key.write_text(json.dumps(KEY.as_dict(private=False)))
    return read_checkpoints(file, key, cluster_id)


def test_signed_checkpoints_are_read_all_of_them(tmp_path: Path) -> None:
    assert read(tmp_path, token(), "", token()) == 2 * [Head(0, 4, "aa", SIGNED_AT)]
    assert read(tmp_path, token(), cluster_id=None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("garbage", "no checkpoint that this key has signed"),
        (token(key=OKPKey.generate_key("Ed25519")), "no checkpoint that this key has signed"),
        (token()[:-8] + "AAAAAAAA", "no checkpoint that this key has signed"),
        (token([]), "no checkpoint that this key has signed"),
        (token({**PAYLOAD, "heads": [{"partition": 0}]}), "no checkpoint that this key has signed"),
        (token(kind="consent-receipt+jws"), "signed, but no checkpoint of notifier.decisions"),
        (token({**PAYLOAD, "topic": "other"}), "signed, but no checkpoint of notifier.decisions"),
        (token({**PAYLOAD, "cluster_id": "there"}), "of cluster there, this is here"),
    ],
)
def test_a_line_that_is_no_checkpoint_is_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(CheckpointError, match=f"line 2: {said}"):
        read(tmp_path, token(), line)


def test_a_key_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text(token())
    (tmp_path / "key").write_text("{}")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoints(tmp_path / "checkpoints", tmp_path / "key", None)
