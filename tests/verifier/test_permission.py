"""What each notification of a run that may repeat is held against: its own consent, and nothing else."""

import copy
from collections.abc import Callable

import pytest

from tests.verifier.test_invariants import (
    REVOKED,
    Run,
    another_amount,
    repeat,
    row_of_a_holder,
    silence,
    tell_a_stranger,
    whole,
)
from verifier.permission import permissions


def found(run: Run) -> dict[str, int]:
    """Return the violations by invariant."""
    return {one.name: len(one.violations) for one in permissions(run.recording)}


def tell_of_no_event(run: Run) -> None:
    headers = {**run.recording.sent[2].headers, "notifier.source": b"bank.transactions/0/999999"}
    run.change(2, headers=headers)


def tell_after_it_was_revoked(run: Run) -> None:
    last = run.number_of(REVOKED)
    run.change(last, headers={**run.recording.sent[last].headers, "notifier.consent": b"9999"})


def tell_someone_else(run: Run) -> None:
    run.change(2, key="user:nobody")


def name_a_person(run: Run) -> None:
    next(row_of_a_holder(run))["holder"] = "user:bank:account-1"


@pytest.mark.parametrize("change", [repeat, silence])
def test_repeats_and_silence_are_not_judged(change: Callable[[Run], None]) -> None:
    run = copy.deepcopy(whole())
    change(run)
    judged = permissions(run.recording)
    assert {one.name: one.violations for one in judged} == {"I4": [], "I8": []}
    assert all(one.checked >= len(run.recording.sent) for one in judged)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (tell_a_stranger, {"I4": 1, "I8": 0}),
        (tell_of_no_event, {"I4": 1, "I8": 0}),
        (tell_after_it_was_revoked, {"I4": 1, "I8": 0}),
        (tell_someone_else, {"I4": 1, "I8": 0}),
        (another_amount, {"I4": 0, "I8": 1}),
        (name_a_person, {"I4": 0, "I8": 1}),
    ],
)
def test_what_a_consent_does_not_allow_is_found(change: Callable[[Run], None], named: dict[str, int]) -> None:
    run = copy.deepcopy(whole())
    change(run)
    assert found(run) == named


def test_a_violation_names_the_place_and_no_value() -> None:
    run = copy.deepcopy(whole())
    another_amount(run)
    (violation,) = permissions(run.recording)[1].violations
    assert violation == f"{run.recording.sent[2].place}: amount_minor differs"
