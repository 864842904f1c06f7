"""Writes notices that a consent is about to end as what other decisions are written as: rows and records.

A pass has no inputs and counts no records. Pure. May import wire and core. Source: docs/rules.md section 9.
Read next: `streams/kafka/reminders.py`, which calls it.
"""

from streams.core.codes import Fate, Kind
from streams.core.consent import ConsentState
from streams.core.expiry import RULE, Notice, told
from streams.core.pseudonyms import subject_pseudonym, user_pseudonym
from streams.kernel.batch_result import BatchResult, Output
from streams.wire.codec import DecisionRow, encode_notification
from streams.wire.headers import NotificationHeaders
from streams.wire.topics import CONSENT_REQUESTS


def write_notice(
    result: BatchResult, headers: NotificationHeaders, state: ConsentState, notice: Notice
) -> None:
    """Add the decision and the notification of one notice of a subject to `result`, at its decision time.

    Its source is the consent request that made the state what it is. Never raises.
    """
    notification, offset = told(notice, state.subject, result.decided_at), state.request_offset
    result.rows.append(
        DecisionRow(
            CONSENT_REQUESTS,
            offset,
            notice.event_id,
            user_pseudonym(state.salt, notice.user_id),
            Fate.NOTIFY,
            None,
            RULE,
            Kind.SERVICE,
            notification.consent_id,
            notification.consent_version,
            notification.notification_id,
            subject_pseudonym(state.salt, state.subject),
        )
    )
    result.outputs.append(
        Output(
            notification.recipient.encode(),
            encode_notification(notification),
            headers.of(notification.notification_id, CONSENT_REQUESTS, offset, None),
            notice.due_at,
        )
    )
