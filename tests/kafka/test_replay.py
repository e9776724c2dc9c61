"""Messages sent again beside the cursor: which ones, where to, how fast; and the cursor that stays where it is."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from kafka.verifying import verify
from pg_tide_dev.kafka import create_topic, delete_topic
from pg_tide_relay import cli
from relay_kit import FAST, Record, Tide, first_occurrences, ids, records
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


def live(found: list[Record]) -> list[int]:
    """Ids of the messages that the cursor's way brought."""
    return [one.message_id for one in found if "pg_tide_replay" not in dict(one.headers)]


def copies(found: list[Record], replay_id: int) -> list[int]:
    """Ids of the messages that a replay sent, in the order of the topic."""
    number = b"%d" % replay_id
    return [one.message_id for one in found if dict(one.headers).get("pg_tide_replay") == number]


def test_messages_are_sent_again_beside_the_cursor_by_all_that_can_choose_them(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """A key's in id order, with the replay's id in a header; neither cursor nor live delivery is touched."""
    tide.outbox()
    tide.pipeline(topic)
    start_relay(tide.dsn, *FAST)
    first = tide.publish_many(10, key="one")
    other = tide.publish_many(10)
    tide.until_settled()
    newest = tide.value("select max(created_at) from tide.message")
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
        dry = replay(tide, f"{how}, dry_run => true")
        asked = replay(tide, how)
        assert (dry.replay_id, dry[1:]) == (None, asked[1:])
        assert (asked.selected, asked.left_out, asked.gone) == (len(chosen), 0, 0), how
        assert (asked.oldest_id, asked.newest_id) == (chosen[0], chosen[-1]), how
        expected[asked.replay_id] = chosen
    assert len(tide.rows("select from tide.replays")) == len(expected)
    for replay_id, chosen in expected.items():
        done = until(tide, replay_id, "done")
        assert (done.sent, done.failed, done.gone, done.position) == (len(chosen), 0, 0, chosen[-1])
    found = records(read_topic(topic))
    assert {replay_id: sorted(copies(found, replay_id)) for replay_id in expected} == expected
    for replay_id, chosen in expected.items():
        of_key = [one for one in copies(found, replay_id) if one in first]
        assert of_key == [one for one in chosen if one in first]
    assert sorted(live(found)) == first + other
    after = tide.cursor_row()
    assert (after.prev, after.last_id, after.generation, after.epoch) == (
        cursor.prev,
        cursor.last_id,
        cursor.generation,
        cursor.epoch,
    )
    answer = verify(tide)
    assert (answer.code, answer.found) == (0, {})
    assert answer.report["records"]["replayed"] == sum(map(len, expected.values()))


def test_a_replay_goes_to_another_topic_with_headers_of_its_own_through_filter_and_rules(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """A template, as the pipeline's topic may be; what the pipeline's rules say of keys and headers holds."""
    topic, elsewhere = make_topic(), make_topic()
    tide.outbox()
    rule = {"when": "n == `2`", "topic": topic, "message_key": "rule", "headers": {"by": "rule"}}
    tide.pipeline(
        topic,
        headers={"source": "shop"},
        transform={"filter": "n > `0`"},
        routing={"rules": [rule]},
    )
    start_relay(tide.dsn, *FAST)
    published = [
        tide.publish({"n": n, "suffix": ""}, key="one", headers='{"source": "checkout", "trace": "t"}')
        for n in range(3)
    ]
    tide.until_settled()
    asked = replay(
        tide,
        "everything => true, to_topic => %s, headers => %s",
        elsewhere + "{payload.suffix}",
        '{"source": "again", "why": "a bug"}',
    )
    done = until(tide, asked.replay_id, "done")
    assert (done.selected, done.sent, done.filtered) == (3, 2, 1)
    found = records(read_topic(elsewhere, 2))
    assert [(one.message_id, one.key) for one in found] == [(published[1], b"one"), (published[2], b"rule")]
    for one in found:
        assert [name for name, _ in one.headers].count("source") == 1
        assert dict(one.headers) | {"by": b"rule"} == {
            "pg_tide_outbox": b"orders",
            "pg_tide_op": b"insert",
            "pg_tide_id": b"%d" % one.message_id,
            "pg_tide_ts": dict(one.headers)["pg_tide_ts"],
            "trace": b"t",
            "source": b"again",
            "why": b"a bug",
            "by": b"rule",
            "pg_tide_replay": b"%d" % asked.replay_id,
        }
    assert len(read_topic(topic)) == 2


def test_a_replay_keeps_its_own_limit_and_what_is_cancelled_sends_nothing_more(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Live messages pass it meanwhile; what it counts as sent is what is on the topic."""
    tide.outbox()
    tide.pipeline(topic)
    start_relay(tide.dsn, *FAST)
    published = tide.publish_many(1000)
    tide.until_settled()
    asked = replay(tide, "everything => true, max_messages_per_second => 20")
    eventually(lambda: row_of(tide, asked.replay_id).sent >= 10)
    published += tide.publish_many(100)
    tide.until_settled()
    (now,) = tide.rows(
        "select state, sent, relay, extract(epoch from clock_timestamp() - started_at) as seconds"
        " from tide.replays where replay_id = %s",
        asked.replay_id,
    )
    assert now.state == "running"
    assert now.relay == tide.pipeline_row().owner
    assert 10 <= now.sent <= 2 + 20 * float(now.seconds)
    waiting = replay(tide, f"ids => array[{published[0]}]")
    assert row_of(tide, waiting.replay_id).error == f"replay {asked.replay_id} of the pipeline comes first"

    tide.value("select tide.replay_cancel(%s, 'enough')", asked.replay_id)
    until(tide, waiting.replay_id, "done")  # runs once the other has ended
    ended = row_of(tide, asked.replay_id)
    assert (ended.state, ended.reason, ended.selected) == ("cancelled", "enough", 1000)
    found = records(read_topic(topic))
    assert len(copies(found, asked.replay_id)) == ended.sent < 1000
    assert sorted(live(found)) == published


def test_a_copy_that_cannot_be_delivered_is_counted_and_the_rest_goes_on(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Neither stops the pipeline, whose on_error is stop, nor becomes a dead letter."""
    topic, small = make_topic(), make_topic(config={"max.message.bytes": "5000"})
    tide.outbox()
    tide.pipeline(topic, dlq={"on_error": "stop"})
    start_relay(tide.dsn, *FAST)
    before = tide.publish_many(20, key="one")
    bad = tide.publish({"x": "x" * 20_000}, key="one")
    after = tide.publish_many(20, key="one")
    tide.until_settled()
    asked = replay(tide, "everything => true, to_topic => %s", small)
    done = until(tide, asked.replay_id, "done")
    assert (done.selected, done.sent, done.failed) == (41, 40, 1)
    assert (done.first_failed_id, done.first_error.split(":")[0]) == (bad, "MSG_SIZE_TOO_LARGE")
    assert first_occurrences(copies(records(read_topic(small)), asked.replay_id)) == before + after
    assert tide.pipeline_row().state == "running"
    assert tide.rows("select from tide.dead_letters") == []


def test_a_missing_topic_pauses_a_replay_and_not_its_pipeline(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """A template that makes no name of a topic fails it."""
    topic = make_topic()
    missing = f"{topic}-later"
    tide.outbox("or ders")
    tide.pipeline(topic, outbox="or ders", topics={"policy": "require"})
    start_relay(tide.dsn, *FAST)
    published = tide.publish_many(3, outbox="or ders")
    tide.until_settled()
    asked = replay(tide, "everything => true, to_topic => %s", missing)
    never = replay(tide, "everything => true, to_topic => '{stream_table}'")
    told = eventually(
        lambda: row if (row := row_of(tide, asked.replay_id)).error_code is not None else None,
        why=lambda: str(row_of(tide, asked.replay_id)),
    )
    assert (told.state, told.error_class, told.sent) == ("running", "destination", 0)
    assert missing in told.error
    assert "Create the topic" in told.cure
    published += tide.publish_many(3, outbox="or ders")
    tide.until_settled()
    assert tide.pipeline_row().state == "running"

    create_topic(tide.bootstrap, missing)
    done = until(tide, asked.replay_id, "done")
    assert (done.sent, done.error, done.cure) == (3, None, None)
    assert sorted(copies(records(read_topic(missing, 3)), asked.replay_id)) == published[:3]
    failed = until(tide, never.replay_id, "failed")
    assert (failed.error_code, failed.sent) == ("TD020", 0)
    assert "or ders" in failed.error
    delete_topic(tide.bootstrap, missing)


def test_what_waits_as_a_dead_letter_is_left_out(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Or it would come before what stands before it."""
    topic, elsewhere = make_topic(config={"max.message.bytes": "5000"}), make_topic()
    tide.outbox()
    tide.pipeline(topic, dlq={"on_error": "park_key"})
    start_relay(tide.dsn, *FAST)
    first = tide.publish(key="one")
    tide.publish({"x": "x" * 20_000}, key="one")
    tide.publish_many(3, key="one")
    tide.until_settled()
    eventually(lambda: len(tide.rows("select from tide.dead_letters")) == 4)
    asked = replay(tide, "key => 'one', to_topic => %s", elsewhere)
    assert (asked.selected, asked.left_out) == (5, 4)
    done = until(tide, asked.replay_id, "done")
    assert (done.sent, done.left_out, done.gone) == (1, 4, 0)
    assert ids(read_topic(elsewhere)) == [first]


def test_the_command_line_asks_sends_waits_lists_and_cancels(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """With the exit codes that scripts rely on, and with bad input."""

    def command(*words: str, answer: str = "") -> Result:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pg_tide_relay.logs.configure", lambda *_given: None)
            arguments = ["replay", *words, "--postgres-url", tide.dsn]
            return CliRunner().invoke(cli.build(), arguments, input=answer, catch_exceptions=False)

    topic, small = make_topic(), make_topic(config={"max.message.bytes": "5000"})
    tide.outbox()
    tide.pipeline(topic)
    start_relay(tide.dsn, *FAST)
    published = [*tide.publish_many(5), tide.publish({"x": "x" * 20_000})]
    tide.until_settled()
    again = (PIPELINE, "--all")
    assert "Messages to send again: 6" in command(*again, "--dry-run").stdout
    assert command(*again, answer="n\n").exit_code == 1
    assert tide.rows("select from tide.replays") == []
    done = command(*again, "--header", "why=a=b", answer="y\n")
    assert (done.exit_code, "Replay 1 is done: 6 sent." in done.stdout) == (0, True)
    failed = command(PIPELINE, *map(str, published), "777", "--yes", "--to-topic", small)
    assert (failed.exit_code, "5 sent, 1 failed, 1 gone" in failed.stdout) == (1, True)
    assert "MSG_SIZE_TOO_LARGE" in failed.stdout
    slow = ("--max-messages-per-second", "1", "--from-time", "2000-01-01", "--no-wait", "-y", "-o", "json")
    stored = json.loads(command("send", *again, *slow).stdout)["replay"]
    assert (stored["replay_id"], stored["selected"]) == (3, 6)
    assert command("cancel", "3", "--reason", "enough").exit_code == 0
    listed = json.loads(command("list", PIPELINE, "-o", "json").stdout)["replays"]
    assert [(one["replay_id"], one["state"]) for one in listed] == [
        (3, "cancelled"),
        (2, "done"),
        (1, "done"),
    ]
    assert "replay 3 is at its end" in command("cancel", "3").stderr
    for words, code in (
        (("list", "orders-to-kafkaa"), 2),
        ((PIPELINE,), 1),
        ((PIPELINE, "--from-time", "soon"), 2),
        ((PIPELINE, "--matching", "$ ? ("), 2),
        ((*again, "--header", "why"), 2),
        ((*again, "--header", "pg_tide_replay=7"), 1),
    ):
        refused = command(*words)
        assert (refused.exit_code, "What to do" in refused.stderr) == (code, True), refused.stderr
    first = records(read_topic(topic))[6]
    assert dict(first.headers)["why"] == b"a=b"
