"""Messages sent again beside the cursor: which ones, where to, how fast; and the cursor that stays where it is."""

from typing import Any

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from relay_kit import FAST, Record, Tide, alter_topic, ids, records
from waiting import eventually

PIPELINE = "orders-to-kafka"


def replay(tide: Tide, how: str, *values: object) -> Any:
    """What the call answers."""
    (row,) = tide.rows(f"select * from tide.replay('{PIPELINE}', {how})", *values)
    return row


def row_of(tide: Tide, replay_id: int) -> Any:
    (row,) = tide.rows("select * from tide.replays where replay_id = %s", replay_id)
    return row


def until(tide: Tide, replay_id: int, state: str) -> Any:
    """Wait until an operator sees the replay in this state; its row."""
    return eventually(
        lambda: row if (row := row_of(tide, replay_id)).state == state else None,
        why=lambda: str(row_of(tide, replay_id)),
    )


def copies(found: list[Record], replay_id: int) -> list[int]:
    """Ids of the messages that a replay sent, in the order of the topic."""
    number = b"%d" % replay_id
    return [one.message_id for one in found if dict(one.headers).get("pg_tide_replay") == number]


def test_messages_are_sent_again_beside_the_cursor_by_all_that_can_choose_them(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Each choice in id order, its records with the replay's id; neither cursor nor live delivery is touched."""
    tide.outbox()
    tide.pipeline(topic)
    start_relay(tide.dsn, *FAST)
    first = tide.publish_many(10, key="one")
    other = tide.publish_many(10)
    tide.until_settled()
    ((newest,),) = tide.rows("select max(created_at) from tide.message")
    cursor = tide.cursor_row()
    expected = {}
    for how, chosen in (
        (f"ids => array[{other[3]}, {first[2]}]", [first[2], other[3]]),
        ("key => 'one'", first),
        (f"from_id => {first[8]}, to_id => {other[1]}", first[8:] + other[:2]),
        (f"from_time => '{newest.isoformat()}'", other[-1:]),
        (f"to_time => '{newest.isoformat()}'", first + other[:-1]),
        ("matching => '$ ? (@.n >= 8)'", first[8:] + other[8:]),
        ("key => 'one', matching => '$ ? (@.n >= 8)'", first[8:]),
        ("everything => true", first + other),
    ):
        asked = replay(tide, how)
        assert (asked.selected, asked.left_out, asked.gone) == (len(chosen), 0, 0), how
        assert (asked.oldest_id, asked.newest_id) == (chosen[0], chosen[-1]), how
        expected[asked.replay_id] = chosen
    for replay_id, chosen in expected.items():
        done = until(tide, replay_id, "done")
        assert (done.sent, done.failed, done.gone, done.position) == (len(chosen), 0, 0, chosen[-1])
    found = records(read_topic(topic))
    assert {replay_id: copies(found, replay_id) for replay_id in expected} == expected
    assert ids([]) == []
    live = [one for one in found if "pg_tide_replay" not in dict(one.headers)]
    assert sorted(one.message_id for one in live) == first + other
    after = tide.cursor_row()
    assert (after.prev, after.last_id, after.generation, after.epoch) == (
        cursor.prev,
        cursor.last_id,
        cursor.generation,
        cursor.epoch,
    )
