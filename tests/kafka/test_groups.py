"""Consumer groups: each gets everything, from where it starts; operators move them while relays run."""

import pytest

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from relay_kit import FAST, Tide, difference, first_occurrences, ids, lowest_repeated
from waiting import eventually, for_all_of


def test_two_groups_of_one_outbox_each_get_every_message(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Each at its own pace: one is disabled half of the time."""
    topics = {"fast": make_topic(), "slow": make_topic()}
    tide.outbox()
    for name, topic in topics.items():
        tide.pipeline(topic, name=name, group=f"group-{name}")
    relay = start_relay(tide.dsn)
    published = tide.publish_many(300, key="one")
    tide.until_settled("fast", "slow")
    tide.disable("slow")
    relay.wait_for("pipeline_released", pipeline="slow")
    published += tide.publish_many(300, key="one")
    tide.until_settled("fast")
    assert tide.pending("slow") == 300
    tide.enable("slow")
    tide.until_settled("slow")
    assert {name: ids(read_topic(topic, 600)) for name, topic in topics.items()} == dict.fromkeys(
        topics, published
    )


def test_a_group_that_starts_at_the_latest_gets_what_commits_from_then_on(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Also what was published before and commits after; a group that exists keeps its place whatever start says."""
    tide.outbox()
    tide.publish_many(10, key="one")
    with tide.another_connection() as other:
        other.execute("begin")
        late = other.execute("select tide.outbox_publish('orders', '{}', key => 'one')").fetchone()[0]
        tide.publish(key="one")
        tide.pipeline(topic, start="latest")
        other.execute("commit")
    after = tide.publish(key="one")
    start_relay(tide.dsn)
    tide.until_settled()
    tide.pipeline(topic, start="earliest", linger_ms=1)
    more = tide.publish(key="one")
    tide.until_settled()
    assert ids(read_topic(topic, 3)) == [late, after, more]


def test_a_rewind_to_an_id_or_a_time_sends_everything_from_there_again(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """While the relay runs; then it goes on with what is new."""
    tide.outbox()
    tide.pipeline(topic)
    start_relay(tide.dsn)
    published = tide.publish_many(250, key="one")
    tide.until_settled()
    expected = list(published)

    assert (
        tide.value("select tide.group_rewind('orders-to-kafka', 'orders', to_id => %s)", published[200])
        == published[200]
    )
    expected += published[200:]
    assert difference(ids(read_topic(topic, len(expected))), expected) == ""
    tide.until_settled()

    time = tide.value("select created_at from tide.message where id = %s", published[30])
    assert (
        tide.value("select tide.group_rewind('orders-to-kafka', 'orders', to_time => %s)", time)
        == published[30]
    )
    expected += published[30:]
    assert difference(ids(read_topic(topic, len(expected))), expected) == ""
    expected += tide.publish_many(10, key="one")
    assert difference(ids(read_topic(topic, len(expected))), expected) == ""


def test_a_rewind_in_the_middle_of_a_window_repeats_the_window_too(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """What the half-delivered window had sent comes again, behind what was rewound to: no gap, all in order."""
    tide.outbox()
    tide.pipeline(topic)
    start_relay(tide.dsn)
    earlier = tide.publish_many(1_000, key="one")
    tide.until_settled()
    window = tide.publish_many(10_000, key="one")
    eventually(lambda: tide.pending() < 10_000)
    tide.value("select tide.group_rewind('orders-to-kafka', 'orders', to_id => %s)", earlier[500])
    tide.until_settled()
    found = ids(read_topic(topic, 11_500))
    again = [*earlier[500:], *window]
    assert difference(found[-len(again) :], again) == ""
    sent_before = found[: -len(again)]
    assert difference(sent_before, [*earlier, *window][: len(sent_before)]) == ""
    assert 1_000 < len(sent_before) < 11_000


def test_a_relay_killed_in_a_replay_pass_is_followed_where_the_pass_was(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """The pass is settled as it goes: its rest is sent, not all of it again."""
    tide.outbox()
    tide.pipeline(topic, request_timeout_ms=1_000)
    relay = start_relay(tide.dsn, "--lease-ms", "1000")
    published = tide.publish_many(30_000, key="one")
    tide.until_settled()
    tide.value("select tide.group_rewind('orders-to-kafka', 'orders', to_id => 0)")
    eventually(lambda: (tide.cursor_row().replay_last or 0) > published[500])
    settled = tide.cursor_row().replay_last
    relay.kill()
    assert settled is not None
    assert settled < published[-1]
    new = tide.publish_many(10, key="one")
    start_relay(tide.dsn)
    tide.until_settled()
    again = ids(read_topic(topic, 60_000))[30_000:]
    assert difference(first_occurrences(again), [*published, *new]) == ""
    assert lowest_repeated(again) > settled


def test_skip_leaves_out_what_is_committed_and_nothing_else(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """A message that commits after the skip is delivered, however early it was published."""
    tide.outbox()
    tide.pipeline(topic)
    tide.disable()
    tide.publish_many(10, key="one")
    with tide.another_connection() as other:
        other.execute("begin")
        late = other.execute("select tide.outbox_publish('orders', '{}', key => 'one')").fetchone()[0]
        tide.publish_many(10, key="one")
        tide.value("select tide.group_skip('orders-to-kafka', 'orders')")
        other.execute("commit")
    after = tide.publish(key="one")
    tide.enable()
    start_relay(tide.dsn)
    assert ids(read_topic(topic, 2)) == [late, after]


def test_skip_in_the_middle_of_a_backlog_ends_it(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """What was in flight arrives, the rest never; the next message does."""
    tide.outbox()
    tide.pipeline(topic)
    start_relay(tide.dsn)
    backlog = tide.publish_many(20_000, key="one")
    eventually(lambda: tide.pending() < 20_000)
    tide.value("select tide.group_skip('orders-to-kafka', 'orders')")
    assert tide.pending() == 0
    after = tide.publish(key="one")
    eventually(lambda: after in ids(read_topic(topic)))
    for_all_of(0.5, lambda: tide.pending() == 0)
    found = ids(read_topic(topic))
    assert found[-1] == after
    assert difference(found[:-1], backlog[: len(found) - 1]) == ""
    assert len(found) < 20_000


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("update tide.cursor set stamp = '3' where group_id = %s", "dump"),
        (
            "update tide.cursor set prev = '999999999:999999999:', stamp = pg_current_xact_id()::xid"
            " where group_id = %s",
            "counter was reset",
        ),
    ],
    ids=["restored from a dump", "transaction counter reset"],
)
def test_a_cursor_that_cannot_be_trusted_stops_its_pipeline_alone_until_it_is_rebased(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic, damage: str, named: str
) -> None:
    """The state names the group and the cure; after that everything comes, again rather than never."""
    doubted, bystander = make_topic(), make_topic()
    tide.outbox()
    tide.pipeline(doubted)
    tide.pipeline(bystander, name="bystander")
    published = tide.publish_many(5, key="one")
    tide.connection.execute(damage.encode(), [tide.cursor_row().group_id])
    start_relay(tide.dsn, *FAST)
    for _ in range(5):
        published.append(tide.publish(key="one"))
        tide.until_settled("bystander", within=2)
    row = tide.until_state("error")
    assert (row.error_class, row.error_code) == ("configuration", "TD032")
    assert named in row.error
    assert "tide.group_rebase('orders-to-kafka', 'orders')" in row.cure
    assert ids(read_topic(doubted)) == []
    assert tide.pipeline_row("bystander").state == "running"
    tide.value("select tide.group_rebase('orders-to-kafka', 'orders')")
    tide.until_settled()
    assert difference(first_occurrences(ids(read_topic(doubted, 10))), published) == ""
    assert tide.until_state("running").error is None
