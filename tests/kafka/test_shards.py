"""What operators do and see when a pipeline has shards: all of it looks at all of them."""

import json
import subprocess

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import PG_TIDE, StartRelay, clean_environment
from relay_kit import FAST, Tide, alter_topic, ids
from waiting import eventually

KEYS = [f"k{n}" for n in range(8)]
"""Of four shards each has one of these at least."""


def pg_tide(tide: Tide, *words: str) -> str:
    """What a command says; it must succeed."""
    done = subprocess.run(
        [*PG_TIDE, *words, "--postgres-url", tide.dsn],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_commands_and_views_look_at_all_shards(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Status, preview, verify, lag, rewind and skip; before a relay comes, and behind it."""
    tide.outbox()
    tide.pipeline(topic, shards=4)
    published = [tide.publish(key=key) for key in KEYS for _ in range(5)]
    assert tide.pending() == len(published)
    shown = json.loads(pg_tide(tide, "preview", "orders-to-kafka", "-o", "json", "--limit", "100"))
    assert len(shown["messages"]) == len(published)

    relay = start_relay(tide.dsn)
    tide.until_settled()
    assert sorted(ids(read_topic(topic, 40))) == published
    assert {row.state for row in tide.rows("select state from tide.shards")} == {"running"}
    assert len(relay.lines("pipeline_acquired")) == 4
    (status,) = json.loads(pg_tide(tide, "status", "-o", "json"))["pipelines"]
    assert (status["state"], status["shards"], status["resharding"]) == ("running", 4, None)
    assert tide.rows("select pipelines from tide.relays") == [(["orders-to-kafka"],)]
    pg_tide(tide, "verify", "orders-to-kafka")

    assert (
        tide.value("select tide.group_rewind('orders-to-kafka', 'orders', to_id => %s)", published[20])
        == published[20]
    )
    tide.until_settled()
    assert sorted(ids(read_topic(topic, 60))) == sorted(published + published[20:])
    tide.disable()
    relay.wait_for(lambda: len(relay.lines("pipeline_released")) == 4)
    tide.publish(key="k1")
    tide.value("select tide.group_skip('orders-to-kafka', 'orders')")
    assert tide.pending() == 0
    tide.pipeline(topic, shards=3)
    assert "orders-to-kafka: its shards change, 4 -> 3" in pg_tide(tide, "status")
    tide.enable()
    last = tide.publish(key="k1")
    tide.until_settled()
    assert sorted(ids(read_topic(topic, 61))) == sorted([*published, *published[20:], last])
    assert tide.rows("select * from tide.holders() where holds = 'delivery'") == []


def test_each_shard_parks_and_sends_the_dead_letters_of_its_own_keys(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Also when there are more shards by then than when they died."""
    topic = make_topic(config={"max.message.bytes": "5000"})
    tide.outbox()
    tide.pipeline(topic, shards=2, dlq={"on_error": "park_key"})
    start_relay(tide.dsn, *FAST)
    bad = {key: tide.publish({"x": "x" * 20_000}, key=key) for key in KEYS}
    behind = {key: [tide.publish(key=key) for _ in range(3)] for key in KEYS}
    tide.until_settled()
    counted = "select state, count(*)::int from tide.dead_letters group by 1 order by 1"
    assert tide.rows(counted) == [("dead", 8), ("parked", 24)]

    tide.pipeline(topic, shards=4, dlq={"on_error": "park_key"})
    eventually(lambda: [row.state for row in tide.rows("select state from tide.shards")] == ["running"] * 4)
    alter_topic(tide.bootstrap, topic, max_message_bytes="50000")
    tide.value("select count(*) from tide.dlq_redrive('orders-to-kafka', everything => true)")
    eventually(lambda: tide.rows(counted) == [("redriven", 32)], why=lambda: str(tide.rows(counted)))
    after = {key: tide.publish(key=key) for key in KEYS}
    tide.until_settled()
    arrived: dict[str, list[int]] = {key: [] for key in KEYS}
    for message in read_topic(topic, 40):
        found = dict(message.headers() or [])["pg_tide_id"]
        arrived[(message.key() or b"").decode()].append(int(found))
    assert arrived == {key: [bad[key], *behind[key], after[key]] for key in KEYS}
    assert tide.value("select count(*) from tide.dead_letters where state <> 'redriven'") == 0
