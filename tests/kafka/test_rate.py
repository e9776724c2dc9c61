"""How fast a pipeline may be: by its own limit, and by the cluster's quota, which is kept to and shown."""

import secrets
import time

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from kafka_wire import set_produce_quota
from relay_kit import FAST, Tide, difference, ids
from waiting import eventually


def test_a_limit_holds_settling_goes_on_and_a_change_of_it_applies_at_once(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """A neighbour without a limit is not slowed; without its own, 2,000 messages need no half hour."""
    tide.outbox()
    topic, free = make_topic(), make_topic()
    limit = {"max_messages_per_second": 20, "burst_size": 10}
    tide.pipeline(topic, rate_limit=limit)
    tide.pipeline(free, name="free")
    start_relay(tide.dsn, *FAST)
    tide.until_state("running")
    began = time.monotonic()
    published = tide.publish_many(2_000, key="one")
    tide.until_settled("free")
    assert tide.pending() > 1_000
    eventually(lambda: tide.pending() <= 1_950)
    # Counted before the time is read: what was sent by then.
    sent = 2_000 - tide.pending()
    assert 50 <= sent <= 10 + 20 * (time.monotonic() - began) + 1
    assert tide.pipeline_row().error is None
    tide.pipeline(topic)
    tide.until_settled(within=60)
    assert difference(ids(read_topic(topic)), published) == ""


def test_a_quota_of_the_cluster_is_kept_to_and_shown_while_it_lasts(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """No error, no state of its own: it runs, more slowly, and says what makes it wait."""
    tide.outbox()
    topic, name = make_topic(), f"p-{secrets.token_hex(4)}"
    set_produce_quota(tide.bootstrap, f"pg-tide-{name}", 50_000)
    try:
        tide.pipeline(topic, name=name)
        relay = start_relay(tide.dsn, *FAST)
        published = tide.publish_many(700, key="one", size=1_000)
        row = eventually(lambda: found if (found := tide.pipeline_row(name)).throttled_ms else None)
        assert (row.state, row.error) == ("running", None)
        assert 0 < row.throttled_ms < 60_000
        (line,) = relay.lines("throttled", pipeline=name)
        assert "quota" in line["cure"]
    finally:
        set_produce_quota(tide.bootstrap, f"pg-tide-{name}", None)
    tide.until_settled(name, within=60)
    eventually(lambda: tide.pipeline_row(name).throttled_ms is None, within=90)
    assert len(relay.lines("throttled_no_more", pipeline=name)) == 1
    assert difference(ids(read_topic(topic)), published) == ""
