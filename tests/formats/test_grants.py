import hashlib

from streams.core.codes import ConsentAction, DetailLevel, Direction, Purposes
from streams.formats.grants import GrantRule, grants, is_granted, user_of

NOW = 1_800_000_000_000
SUBJECTS = [f"berka:{number}" for number in range(2_000)]


def test_a_subject_is_granted_by_the_first_digits_of_its_hash() -> None:
    # SHA-256("7:berka:1") begins with these digits, computed with sha256sum
    drawn = int("ad258cd5", 16) / 2**32
    assert not is_granted("berka:1", GrantRule(drawn, 7))
    assert is_granted("berka:1", GrantRule(drawn + 1e-9, 7))


def test_the_share_is_about_right_and_another_seed_draws_others() -> None:
    first = {subject for subject in SUBJECTS if is_granted(subject, GrantRule(0.3, 1))}
    second = {subject for subject in SUBJECTS if is_granted(subject, GrantRule(0.3, 2))}
    assert 500 < len(first) < 700
    assert first != second


def test_none_and_all_are_exact() -> None:
    assert not any(is_granted(subject, GrantRule(0, 1)) for subject in SUBJECTS)
    assert all(is_granted(subject, GrantRule(1, 1)) for subject in SUBJECTS)


def test_a_grant_allows_everything_for_a_little_less_than_365_days() -> None:
    [request] = grants(["berka:1"], {}, GrantRule(1, 1), NOW)
    assert request.subject == "berka:1"
    assert request.user_id == user_of("berka:1") == f"user:{hashlib.sha256(b'berka:1').hexdigest()[:16]}"
    assert request.action is ConsentAction.GRANT
    consent = request.consent
    assert consent is not None
    assert consent.purposes == Purposes.BALANCE | Purposes.RECEIPT | Purposes.SHIPPING | Purposes.SECURITY
    assert (consent.detail_level, consent.direction) == (DetailLevel.FULL, Direction.BOTH)
    assert (consent.locale, consent.timezone) == ("en", "UTC")
    assert 364 * 86_400_000 < consent.valid_until - NOW < 365 * 86_400_000


def test_every_joint_holder_of_a_granted_subject_grants_and_nobody_else() -> None:
    joint = {"berka:1": ("user:second",), "berka:2": ("user:other",)}
    rule = next(
        rule
        for rule in (GrantRule(0.5, seed) for seed in range(100))
        if is_granted("berka:1", rule) and not is_granted("berka:2", rule)
    )
    requests = list(grants(["berka:1", "berka:2"], joint, rule, NOW))
    assert [request.user_id for request in requests] == [user_of("berka:1"), "user:second"]
    assert len({request.request_id for request in requests}) == 2
