from random import Random
from typing import Any

import pytest
from hypothesis import given, settings

from streams.core.codes import RefusalReason
from streams.core.consent import ConsentState
from streams.core.fold import FoldOutcome, fold
from streams.core.policy import make_policy
from streams.core.terms import terms_at
from tests.core.chance import chances, request
from tests.core.stories import NOW, SUBJECT, moment, request_of, stories

STORIES = stories("fold.yaml")
SALT = bytes(range(16))
POLICY = make_policy()


def follow(story: dict[str, Any]) -> tuple[list[FoldOutcome], ConsentState | None]:
    policy = make_policy(**story.get("settings", {}))
    state: ConsentState | None = None
    outcomes = []
    for offset, told in enumerate(story["requests"]):
        outcome = fold(
            state,
            SUBJECT,
            request_of(told),
            moment(told.get("at", "now")),
            offset,
            policy,
            SALT,
            is_replayed=told.get("replayed", False),
        )
        outcomes.append(outcome)
        state = outcome.state
    return outcomes, state


def brief(outcome: FoldOutcome) -> str:
    parts = (outcome.outcome.name, getattr(outcome.reason, "name", None), outcome.version)
    return " ".join(str(part) for part in parts if part is not None)


@pytest.mark.parametrize("title", STORIES)
def test_a_story_ends_as_the_fold_says(title: str) -> None:
    story = STORIES[title]
    outcomes, state = follow(story)
    assert [brief(outcome) for outcome in outcomes] == story["then"]
    if "holders" in story:
        left = {
            holder.user_id: [
                version.version if version.revoked_at is None else f"{version.version} revoked"
                for version in holder.versions
            ]
            for holder in (() if state is None else state.holders)
        }
        assert left == story["holders"]
        assert (state is not None) == bool(left or story.get("suspended"))
        assert (state is not None and state.suspended) == story.get("suspended", False)
    if "effective" in story:
        assert state is not None
        assert outcomes[-1].effective_at == moment(story["effective"])
        assert state.holders[0].versions[-1].effective_at == moment(story["effective"])
    if "order" in story:
        assert state is not None
        assert [holder.user_id for holder in state.holders] == story["order"]
    if state is not None:
        assert state.request_offset == len(outcomes) - 1


def test_every_reason_that_the_fold_gives_has_a_story() -> None:
    given_ = {outcome.reason for story in STORIES.values() for outcome in follow(story)[0]}
    elsewhere = {RefusalReason.UNKNOWN, RefusalReason.MISROUTED}
    assert given_ >= set(RefusalReason) - elsewhere


@pytest.mark.parametrize(
    ("field", "limit"),
    [
        ("consent_id", 256),
        ("channel_ref", 256),
        ("notice_id", 128),
        ("notice_hash", 128),
        ("locale", 128),
        ("timezone", 128),
    ],
)
def test_texts_over_their_limit_are_refused(field: str, limit: int) -> None:
    grant = request_of({"action": "GRANT"})
    assert grant is not None
    assert grant.consent is not None
    for length, reason in ((limit, None), (limit + 1, RefusalReason.INVALID)):
        texts: dict[str, Any] = {field: "x" * length}
        asked = grant.consent._replace(**texts)
        outcome = fold(None, SUBJECT, grant._replace(consent=asked), NOW, 0, POLICY, SALT)
        assert outcome.reason == reason
    longer = grant._replace(user_id="u" * 257)
    assert fold(None, SUBJECT, longer, NOW, 0, POLICY, SALT).reason == RefusalReason.INVALID
    subject = "s" * 257
    elsewhere = grant._replace(subject=subject)
    assert fold(None, subject, elsewhere, NOW, 0, POLICY, SALT).reason == RefusalReason.INVALID


@settings(max_examples=200, deadline=None)
@given(chances)
def test_the_fold_never_revives_and_versions_rise(chance: Random) -> None:
    state: ConsentState | None = None
    revoked_at: dict[str, int] = {}
    versions: dict[str, int] = {}
    for offset in range(20):
        appended = NOW + offset * 1_000
        outcome = fold(state, SUBJECT, request(chance), appended, offset, POLICY, SALT)
        state = outcome.state
        present = {holder.user_id: holder for holder in (() if state is None else state.holders)}
        for user_id, holder in present.items():
            numbers = [version.version for version in holder.versions]
            assert numbers == sorted(set(numbers))
            assert numbers[-1] >= versions.get(user_id, 0)
            assert 1 <= len(numbers) <= 8
            assert all(version.revoked_at is None for version in holder.versions[:-1])
            if holder.versions[-1].revoked_at is not None:
                assert len(numbers) == 1
                revoked_at[user_id] = appended
            elif user_id in revoked_at:
                assert terms_at(holder.versions, revoked_at[user_id] - 1) is None
            versions[user_id] = numbers[-1]
        versions = {user_id: number for user_id, number in versions.items() if user_id in present}
        assert list(present) == sorted(present)
        assert state is None or present or state.suspended


def test_a_subject_keeps_its_salt_until_somebody_is_erased() -> None:
    state, salts = None, [bytes([number]) * 16 for number in range(1, 9)]
    asked = [
        ({"action": "GRANT", "user": "anna"}, 0),
        ({"action": "GRANT", "user": "ben"}, 0),
        ({"action": "REVOKE", "user": "anna"}, 0),
        ({"action": "ERASE", "user": "cleo"}, 0),
        ({"action": "ERASE", "user": "anna"}, 4),
        ({"action": "CHANGE", "user": "ben"}, 4),
    ]
    for offset, (told, drawn) in enumerate(asked):
        state = fold(state, SUBJECT, request_of(told), NOW, offset, POLICY, salts[offset]).state
        assert state is not None
        assert state.salt == salts[drawn], told
    assert (
        fold(state, SUBJECT, request_of({"action": "ERASE", "user": None}), NOW, 9, POLICY, salts[6]).state
        is None
    )


def test_a_subject_without_a_salt_gets_one_with_its_next_request() -> None:
    first = fold(None, SUBJECT, request_of({"action": "GRANT", "user": "anna"}), NOW, 0, POLICY, SALT).state
    assert first is not None
    broken = fold(first._replace(salt=None), SUBJECT, None, NOW, 1, POLICY, SALT).state
    assert broken is not None
    assert (broken.suspended, broken.salt) == (True, SALT)
