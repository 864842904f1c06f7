"""Growth curves vary one thing at a time, and their fit finds a cost that is there."""

import pytest

from bench.growth import FULL, QUICK, consents, growth_table, plan_of
from bench.growth_figures import Point, cost_ns, curves, fit
from bench.rounds import Plan
from bench.workload import VALUE_BYTES, Workload, policy_of, subject_of, user_of
from streams.wire.codec import decode_consent_state


def test_a_curve_changes_one_thing_and_leaves_the_rest_as_usual() -> None:
    for curve in curves(10_000_000):
        usual = Point()
        assert len(curve.points) == len(curve.values) >= 4
        for value, point in zip(curve.values, curve.points, strict=True):
            assert getattr(point, curve.name) == value
            assert point._replace(**{curve.name: getattr(usual, curve.name)}) == usual
        assert getattr(usual, curve.name) in curve.values, "the usual workload is a point of every curve"


def test_the_curves_cover_what_was_asked_for() -> None:
    values = {curve.name: curve.values for curve in curves(10_000_000)}
    assert (values["consented_share"][0], values["consented_share"][-1]) == (0.0, 1.0)
    assert list(values["subjects"]) == [10_000, 100_000, 1_000_000, 10_000_000]
    assert list(values["partitions"]) == [1, 4, 16, 64]
    assert VALUE_BYTES[0] <= min(values["value_bytes"]) <= 100
    assert 10_000 <= max(values["value_bytes"]) <= VALUE_BYTES[1]
    assert list(values["codec"]) == ["none", "gzip", "snappy", "lz4", "zstd"]
    assert list(next(curve for curve in curves(100_000) if curve.name == "subjects").values) == [
        10_000,
        100_000,
    ]


def test_the_fit_finds_a_linear_cost() -> None:
    found = fit(
        "x", "for a consented subject", {share: 300 + 1_500 * share for share in (0, 0.1, 0.3, 0.5, 1)}
    )
    assert found is not None
    assert found["a"] == pytest.approx(300)
    assert found["b"] == pytest.approx(1_500)
    assert found["r2"] == pytest.approx(1)
    assert found["text"] == "300 ns + 1,500 ns for a consented subject, r² 1.00"


def test_the_fit_finds_a_logarithmic_cost_and_says_when_there_is_none() -> None:
    found = fit("log10", "per power of ten", {10_000: 740.0, 100_000: 725.0, 1_000_000: 710.0})
    assert found is not None
    assert (found["a"], found["b"]) == (pytest.approx(800), pytest.approx(-15))
    assert found["text"] == "800 ns - 15 ns per power of ten, r² 1.00"
    scattered = fit("x", "", {1: 500.0, 2: 900.0, 3: 500.0})
    assert scattered is not None
    assert scattered["r2"] == pytest.approx(0)
    flat = fit("x", "", {1: 500.0, 2: 500.0, 3: 500.0})
    assert flat is not None
    assert (flat["b"], flat["r2"]) == (0, 1.0)


def test_no_fit_over_names_or_of_two_points() -> None:
    assert fit("", "", {1: 1.0, 2: 2.0, 3: 3.0}) is None
    assert fit("x", "", {1: 1.0, 2: 2.0}) is None


def test_cost_is_the_inverse_of_events_per_cpu_second() -> None:
    assert cost_ns(1_000_000) == 1_000
    assert cost_ns(0) == 0


@pytest.mark.parametrize("plan", [FULL, QUICK])
def test_large_values_come_in_fewer_events_with_the_same_share_of_warm_up(plan: Plan) -> None:
    small, large = plan_of(Point(), plan), plan_of(Point(value_bytes=10_000), plan)
    assert small == plan
    assert large.events * 10_000 <= 2_000_000_000
    assert large.warmup_events / large.events == pytest.approx(plan.warmup_events / plan.events, abs=0.01)


def test_many_partitions_get_events_that_dwarf_the_batches_they_start_with() -> None:
    many = plan_of(Point(partitions=64), QUICK)
    in_flight = 64 * 4_000
    assert many.warmup_events >= 2 * in_flight
    assert many.events - many.warmup_events >= 5 * in_flight
    assert many.limit_s > QUICK.limit_s
    assert many.limit_s / many.events == pytest.approx(QUICK.limit_s / QUICK.events)


def test_the_consents_are_those_of_the_workload() -> None:
    work = Workload(1, 1_700_000_000_000, subjects=2_000, consented_share=0.2)
    found = list(consents(work))
    assert len(found) == 400
    for account, (key, value) in zip(sorted(work.consented), found, strict=True):
        state = decode_consent_state(value)
        assert state is not None
        consent = state.holders[0].versions[0]
        assert key.decode() == state.subject == subject_of(account)
        assert state.holders[0].user_id == user_of(account)
        assert int(consent.detail_level) == policy_of(account).detail_level
        assert consent.preferences.min_amount_minor == policy_of(account).min_amount_minor
        assert consent.effective_at < work.occurred_at(0) < consent.valid_until


def test_the_table_tells_the_fitted_cost() -> None:
    point = {
        "events_per_s": 30_000,
        "events_per_cpu_s": 40_000,
        "cpu_ns_per_event": 25_000.0,
        "peak_rss_mb": 100.0,
        "startup_s": 2.0,
        "faults": ["1 notifications missing"],
    }
    summary = {
        "curves": {
            "partitions": {"points": [{"x": 4, **point}], "fit": {"text": "1 ns + 2 ns per partition"}}
        }
    }
    told = growth_table(summary)
    assert "an event costs 1 ns + 2 ns per partition" in told
    assert "INVALID: 1 notifications missing" in told
