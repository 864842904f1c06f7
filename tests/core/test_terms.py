from random import Random

from hypothesis import given, settings

from streams.core.codes import Direction
from streams.core.terms import NO_CURRENCY, intersection, terms_at
from tests.core.chance import chances, version
from tests.core.stories import version_of


def test_the_chain_starts_at_the_last_version_effective_then() -> None:
    chain = [
        version_of({"from": 10, "minimum": 1}),
        version_of({"from": 20, "minimum": 2}),
        version_of({"from": 30}),
    ]
    assert terms_at(chain, 9) is None
    for at, minimum in ((10, 2), (19, 2), (20, 2), (29, 2), (30, None)):
        terms = terms_at(chain, at)
        assert terms is not None
        assert terms.min_amount_minor == minimum


def test_a_later_version_that_was_effective_sooner_ends_the_chain() -> None:
    terms = terms_at([version_of({"from": 100, "purposes": ["RECEIPT"]}), version_of({"from": 50})], 120)
    assert terms is not None
    assert terms.purposes == 30


def test_the_lower_balance_and_the_sooner_end_count() -> None:
    terms = intersection(
        [version_of({"low_balance": 500, "until": 70}), version_of({"low_balance": 300, "until": 90})]
    )
    assert (terms.low_balance_minor, terms.low_currency, terms.valid_until) == (300, None, 70)


def test_each_threshold_has_a_currency_of_its_own() -> None:
    one = version_of({"minimum": 5, "currency": "EUR"})
    other = version_of({"low_balance": 5, "currency": "USD"})
    terms = intersection([one, other])
    assert (terms.min_currency, terms.low_currency) == ("EUR", "USD")
    assert (
        intersection([one, other, version_of({"minimum": 1, "currency": "USD"})]).min_currency == NO_CURRENCY
    )


@settings(max_examples=300, deadline=None)
@given(chances)
def test_one_more_version_never_allows_more(chance: Random) -> None:
    chain = [version(chance) for _ in range(chance.randint(2, 5))]
    before, after = intersection(chain[:-1]), intersection(chain)
    assert after.purposes & ~before.purposes == 0
    assert after.detail_level <= before.detail_level
    assert after.direction & ~before.direction == 0
    assert after.valid_until <= before.valid_until
    assert (after.min_amount_minor or 0) >= (before.min_amount_minor or 0) or before.min_amount_minor is None
    if before.low_balance_minor is not None:
        assert after.low_balance_minor is not None
        assert after.low_balance_minor <= before.low_balance_minor
    assert 1 <= after.detail_level <= 4
    assert 0 <= after.direction <= Direction.BOTH
