import json

from streams.cli.tail import as_fields, as_line
from streams.ops.topic_reader import Record
from tests.delivery.notifications import told

RECORD = Record("messenger-delivery", 3, 7, 1_709_654_640_050, b"user:recipient", b"", (("ce_id", b"x"),))


def test_a_line_has_time_recipient_and_words() -> None:
    notification = told("BALANCE", booked_minor=100, currency="EUR")
    assert as_line(RECORD, notification).startswith("16:04:00.050  user:recipient  Your balance is €1.00. (")


def test_json_has_every_field_by_name_text_headers_and_position() -> None:
    notification = told("SHIPPING", shipment_status="DELIVERED")
    fields = as_fields(RECORD, notification)
    assert set(notification._fields) <= set(fields)
    assert (fields["kind"], fields["shipment_status"], fields["status"]) == ("SHIPPING", "DELIVERED", None)
    assert fields["text"].startswith("Your parcel was delivered.")
    assert fields["headers"] == {"ce_id": "x"}
    assert (fields["partition"], fields["offset"], fields["appended_at"]) == (3, 7, 1_709_654_640_050)
    assert json.loads(json.dumps(fields)) == fields
