"""I14 and I15 look where they say, and can be tripped."""

from verifier.recording import Recording, Sent
from verifier.traces import accounting, personal_data

PAGE = """# HELP notifier_records_total Records
notifier_records_total{fate="NOTIFY",reason="NONE",topic="bank.transactions"} 2.0
notifier_records_total{fate="NOTIFY",reason="NONE",topic="bank.balances"} 1.0
notifier_records_total{fate="REJECT",reason="INVALID",topic="bank.balances"} 1.0
notifier_notifications_total{kind="RECEIPT"} 3.0
notifier_dead_letters_total{reason="INVALID"} 1.0
"""
ENTRIES = (("NOTIFY", None, 3), ("REJECT", "INVALID", 1))


def recording(**headers: bytes) -> Recording:
    """Return a run of four records: three told, one rejected."""
    counts = [{"fate": fate, "reason": reason, "count": count} for fate, reason, count in ENTRIES]
    sent = [Sent(0, offset, "user", {}, headers, b"") for offset in range(3)]
    return Recording(1, batches={0: [{"counts": counts}]}, sent=sent, dead_letters=[headers])


def test_counts_that_agree_pass_and_each_that_does_not_is_told() -> None:
    assert not accounting(recording(), [PAGE]).violations
    half = PAGE.replace('transactions"} 2.0', 'transactions"} 1.0')
    assert accounting(recording(), [half]).violations == [
        "record NOTIFY NONE: 2 on /metrics, 3 in the topics"
    ]
    assert len(accounting(recording(), [PAGE, PAGE]).violations) == 4
    assert len(accounting(recording(), []).violations) == 4


def test_lives_of_workers_add_up() -> None:
    rest = 'notifier_records_total{fate="NOTIFY",reason="NONE",topic="bank.transactions"} 1.0\n'
    first = PAGE.replace('transactions"} 2.0', 'transactions"} 1.0')
    assert not accounting(recording(), [first, rest]).violations


def test_a_commit_without_an_answer_leaves_nothing_to_compare() -> None:
    found = accounting(recording(), [PAGE + 'notifier_transactions_total{outcome="unknown"} 1.0\n', PAGE])
    assert (found.checked, found.violations, found.figures) == (0, [], {"unknown_outcomes": 1})


def test_a_canary_in_a_log_or_a_header_is_told_by_its_place_alone() -> None:
    words = ["SECRET-1", "SECRET-2"]
    assert not personal_data(recording(), words, {"log": "nothing here"}).violations
    found = personal_data(recording(x=b"is SECRET-2"), words, {"log": "all of SECRET-1"})
    assert found.violations == [
        "log: has canary 0",
        *(f"messenger-delivery/0/{offset}: has canary 1" for offset in range(3)),
        "notifier.dead-letters, record 0: has canary 1",
    ]
    assert "SECRET" not in "".join(found.violations)
