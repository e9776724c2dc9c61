"""The state of a delivery: each change said once, the last states final."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from delivery_kit import RecordedLog
from pg_tide_relay.delivery_state import Status, Trouble
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ErrorClass

AWAY = Trouble(error_class=ErrorClass.CLUSTER_AWAY, code="_TRANSPORT", cause="connection 1 refused")


def test_a_change_of_state_is_logged_once() -> None:
    """The same trouble in other words is no change: brokers name connections and times."""
    log = RecordedLog()
    status = Status(log)
    status.trouble(AWAY)
    since = status.state.since
    status.trouble(Trouble(error_class=AWAY.error_class, code=AWAY.code, cause="connection 2 refused"))
    assert log.events("warning") == ["delivery_state"]
    assert status.state.since == since
    status.running()
    status.running()
    assert log.events("info") == ["delivery_state"]
    assert status.state.name is StateName.RUNNING


def test_a_state_names_its_cause_and_cure() -> None:
    """What is needed to act, without reading the log."""
    status = Status(RecordedLog())
    status.trouble(
        Trouble(
            error_class=ErrorClass.DESTINATION,
            code="UNKNOWN_TOPIC_OR_PART",
            cause="no such topic",
            topic="orders",
        )
    )
    state = status.state
    assert (state.name, state.topic, state.code) == (StateName.BACKING_OFF, "orders", "UNKNOWN_TOPIC_OR_PART")
    assert state.cause == "no such topic"
    assert "Create the topic" in (state.cure or "")


def test_nothing_leads_out_of_stopped() -> None:
    """A pipeline that can't pass a message stays where it is, also when the cluster goes away or comes back."""
    status = Status(RecordedLog())
    status.trouble(Trouble(error_class=ErrorClass.MESSAGE, cause="too large", message_id=7))
    status.running()
    status.trouble(AWAY)
    status.ended()
    assert (status.state.name, status.state.message_id) == (StateName.STOPPED, 7)


def test_one_more_attempt_changes_the_state_and_is_not_logged() -> None:
    """What an operator sees: how often it was tried, and when it is tried again."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    log = RecordedLog()
    status = Status(log, lambda: now)
    missing = Trouble(error_class=ErrorClass.DESTINATION, cause="no topic", attempts=1, pause_s=0.5)
    status.trouble(missing)
    assert (status.state.attempts, status.state.next_attempt_at) == (1, now + timedelta(seconds=0.5))
    since, now = now, now + timedelta(seconds=10)
    status.trouble(replace(missing, attempts=2, pause_s=8.0))
    assert (status.state.attempts, status.state.next_attempt_at) == (2, now + timedelta(seconds=8))
    assert status.state.since == since
    status.trouble(replace(missing, attempts=None, pause_s=None))
    assert status.state.attempts == 2
    assert len(log.lines) == 1


def test_another_trouble_and_none_begin_without_attempts() -> None:
    status = Status(RecordedLog())
    status.trouble(Trouble(error_class=ErrorClass.DESTINATION, cause="no topic", attempts=3, pause_s=2.0))
    status.trouble(AWAY)
    assert (status.state.attempts, status.state.next_attempt_at) == (None, None)
    status.trouble(replace(AWAY, attempts=1, pause_s=0.5))
    status.running()
    assert (status.state.attempts, status.state.next_attempt_at) == (None, None)


def test_a_quota_is_told_beside_the_state_and_logged_when_it_begins_and_ends() -> None:
    """Written when it begins, when a pause is twice as long as the one told, and when it ends."""
    log = RecordedLog()
    status = Status(log)
    told = []
    for throttled_ms in (100, 150, 90, 199, 200, 300, 401, None, None, 50):
        status.throttled(throttled_ms)
        told.append(status.state.throttled_ms)
    assert told == [100, 100, 100, 100, 200, 200, 401, None, None, 50]
    assert [event for _, event, _ in log.lines] == ["throttled", "throttled_no_more", "throttled"]
    status.trouble(AWAY)
    status.trouble(AWAY)
    assert status.state.throttled_ms == 50
    status.running()
    assert status.state.throttled_ms == 50
    assert log.events("warning") == ["throttled", "throttled", "delivery_state"]
