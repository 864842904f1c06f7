from streams.core.policy import make_policy


def test_the_defaults_are_those_of_the_document() -> None:
    policy = make_policy()
    assert policy.max_age_ms == (
        0,
        21_600_000,
        21_600_000,
        21_600_000,
        3_600_000,
        172_800_000,
        900_000,
        0,
        0,
        0,
    )
    assert policy.largest_max_age_ms == 172_800_000
    assert policy.future_tolerance_ms == 300_000
    assert policy.max_consent_ms == 365 * 86_400_000
    assert (policy.seen_limit, policy.told_limit) == (32_768, 4_096)


def test_equal_values_have_equal_versions_and_others_do_not() -> None:
    assert make_policy().version == make_policy(receipt_s=21_600).version == make_policy().version
    versions = {
        make_policy().version,
        make_policy(receipt_s=1).version,
        make_policy(balance_s=1).version,
        make_policy(security_s=1).version,
        make_policy(shipping_s=1).version,
        make_policy(future_s=1).version,
        make_policy(max_consent_days=180).version,
    }
    assert len(versions) == 7
    assert all(version.startswith("1-") and len(version) == 14 for version in versions)
