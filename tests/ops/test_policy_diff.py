from pathlib import Path

import pytest

from streams.core.codes import Fate, Kind
from streams.errors import ConfigurationError
from streams.kernel.batch_result import BatchResult, Output
from streams.ops.policy_diff import Difference, _compare, with_policy
from streams.settings import Settings
from streams.wire.codec import DecisionRow, encode_notification
from tests.delivery.notifications import told


def result_of(*told: str) -> BatchResult:
    result = BatchResult(0, 0, 0)
    for offset, event in enumerate("abc"):
        is_told = event in told
        result.rows.append(
            DecisionRow(
                "bank.transactions", offset, event, "holder", Fate.NOTIFY if is_told else Fate.SUPPRESS, None,
                "rule", Kind.RECEIPT, "c", 1, f"id-{event}" if is_told else None,
            )
        )  # fmt: skip
    return result


def test_what_is_told_more_is_less_private_and_what_is_told_less_is_not() -> None:
    found = Difference()
    _compare(found, result_of("a", "b"), result_of("a"))
    assert (found.same, dict(found.less), found.less_samples) == (1, {"RECEIPT": 1}, ["b"])
    assert not found.is_less_private
    _compare(found, result_of("a"), result_of("a", "c"))
    assert (found.same, dict(found.more), found.more_samples) == (2, {"RECEIPT": 1}, ["c"])
    assert found.is_less_private


def test_what_shows_more_of_the_data_is_less_private() -> None:
    def shows(*names: str) -> BatchResult:
        result = result_of("a")
        shown = told("RECEIPT", notification_id="id-a", **dict.fromkeys(names, "shown"))
        result.outputs.append(Output(b"holder", encode_notification(shown), [], 0))
        return result

    found = Difference()
    _compare(found, shows("merchant_name", "category"), shows("merchant_name"))
    assert (found.same, found.is_less_private) == (1, False)
    _compare(found, shows("merchant_name"), shows("merchant_name", "location"))
    assert (found.same, dict(found.wider), found.is_less_private) == (2, {"RECEIPT": 1}, True)


def test_a_policy_file_changes_the_policy_and_nothing_else(tmp_path: Path) -> None:
    settings, path = Settings(kafka="kafka:9092", app_id="mine"), tmp_path / "policy.toml"
    path.write_text('max_age_receipt_s = 60\nconsent_profile = "eu"\n')
    changed = with_policy(settings, path)
    assert (changed.max_age_receipt_s, changed.consent_profile) == (60, "eu")
    assert (changed.kafka, changed.app_id, changed.max_age_balance_s) == ("kafka:9092", "mine", 3_600)


@pytest.mark.parametrize(
    ("text", "says"),
    [("kafka = 1", "kafka is no part"), ("a = ", "is no TOML"), ("max_age_receipt_s = -1", "below 1")],
)
def test_a_policy_file_that_cannot_work_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=says):
        with_policy(Settings(), path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        with_policy(Settings(), tmp_path / "none")
