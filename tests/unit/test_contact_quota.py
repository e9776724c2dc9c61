"""What is heard of a cluster's quota: shown while it lasts, and for a while after, not with each request."""

from delivery_kit import RecordedLog
from pg_tide_relay.contact import Contact
from pg_tide_relay.delivery_state import Status
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.produce import ProducerEvent


def test_a_quota_is_no_trouble_and_is_over_when_nothing_was_heard_of_it_for_a_while() -> None:
    now = 100.0
    log = RecordedLog()
    status = Status(log)
    contact = Contact(status, lambda: now, 30.0)
    event = ProducerEvent(
        error_class=ErrorClass.CLUSTER_AWAY,
        code="THROTTLING_QUOTA_EXCEEDED",
        cause="broker 1 makes the producer wait",
        fatal=False,
        throttled_ms=2_000,
    )
    for _ in range(20):
        contact.hear(event)
        contact.notice(0, 0)
        now += 1.0
        assert (status.state.throttled_ms, status.state.name) == (2_000, StateName.RUNNING)
    now += 10.9
    contact.notice(0, 0)
    assert status.state.throttled_ms == 2_000
    now += 0.2
    contact.notice(0, 0)
    assert status.state.throttled_ms is None
    assert [name for _, name, _ in log.lines] == ["throttled", "throttled_no_more"]
