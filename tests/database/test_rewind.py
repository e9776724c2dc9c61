"""Moving a group by hand: back to an id or a time, or to the end."""

import psycopg
import pytest

from database.reading import Relay, Scene


def published(scene: Scene, count: int) -> list[int]:
    session = scene.session()
    return [session.publish(number) for number in range(count)]


def rewind(scene: Scene, to_id: int) -> int | None:
    found: int | None = scene.admin.run("select tide.group_rewind('g', 'orders', to_id => %s)", [to_id])[0][0]
    return found


def rewind_to_time(scene: Scene, time: object) -> int | None:
    statement = "select tide.group_rewind('g', 'orders', to_time => %s::timestamptz)"
    found: int | None = scene.admin.run(statement, [time])[0][0]
    return found


def retention(scene: Scene) -> list[tuple[str, str | None]]:
    """Run it as if two days had passed, which is how long a slot is written to and then kept.

    What it did to the first slot that was closed earlier, or why it did nothing.
    """
    done = scene.admin.run(
        "select slot, action, reason from tide.retention_run(clock_timestamp() + interval '48 hours')"
    )
    return [(action, reason) for slot, action, reason in done if slot == 0 and action != "rotated"]


def test_everything_from_the_id_on_is_sent_again_in_id_order(scene: Scene) -> None:
    """Then the windows go on where they were."""
    ids = published(scene, 5)
    relay = scene.relay(size=2)
    assert relay.drain() == ids
    assert rewind(scene, ids[2]) == ids[2]
    new = published(scene, 2)
    relay.acquire()
    assert relay.drain() == ids[2:] + new
    assert relay.drain() == []


def test_hazard_09_a_rewind_in_the_middle_of_a_window_sends_again_what_the_window_had_sent(
    scene: Scene,
) -> None:
    """The window is given up: its messages are not visible in prev, so the replay pass has none of them."""
    first = published(scene, 3)
    relay = scene.relay(size=2)
    relay.drain()
    second = published(scene, 4)
    assert relay.page() == second[:2]
    relay.settle()
    rewind(scene, first[1])
    relay.acquire()
    assert relay.drain() == first[1:] + second


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_hazard_09_a_crash_during_the_pass_resumes_it(scene: Scene, kept: int) -> None:
    """Its position is settled like a cursor's: what was settled is not sent a third time, the rest is sent."""
    ids = published(scene, 6)
    relay = scene.relay(size=2)
    relay.drain()
    rewind(scene, ids[0])
    relay.acquire()
    for _ in range(kept):
        relay.page()
        relay.settle()
    relay.page()
    relay = scene.crash(relay)
    assert relay.at.replaying
    assert relay.at.replay_from == ids[0]
    new = published(scene, 1)
    assert relay.drain() == ids[2 * kept :] + new


def test_hazard_09_the_end_of_the_pass_is_settled(scene: Scene) -> None:
    """Else a successor would begin it again, and retention would wait for it."""
    ids = published(scene, 3)
    relay = scene.relay()
    relay.drain()
    rewind(scene, ids[0])
    relay.acquire()
    assert relay.page() == ids
    relay.settle()
    row = scene.cursor()
    assert (row["replay_from"], row["replay_last"], row["cur"]) == (None, None, None)
    assert not scene.crash(relay).open_window()


def test_hazard_09_retention_waits_for_the_pass(scene: Scene) -> None:
    """All of it is visible in prev, and still has to be sent."""
    ids = published(scene, 4)
    relay = scene.relay(size=2)
    relay.drain()
    rewind(scene, ids[0])
    relay.acquire()
    relay.page()
    relay.settle()
    assert retention(scene) == []
    assert retention(scene) == [("held", "group 'g' is sending it again")]
    relay.drain()
    assert retention(scene) == [("emptied", None)]


def test_what_is_uncommitted_below_the_target_is_delivered_when_it_commits(scene: Scene) -> None:
    """A rewind does not forget what prev says: an empty snapshot at the target would lose this message."""
    late = scene.begin()
    late_id = late.publish()
    ids = published(scene, 3)
    relay = scene.relay()
    relay.drain()
    rewind(scene, ids[1])
    relay.acquire()
    assert relay.drain() == ids[1:]
    late.commit()
    assert relay.drain() == [late_id]


def test_a_second_rewind_during_a_pass_skips_nothing_of_it(scene: Scene) -> None:
    """Its target lies further on than the pass has come: the pass goes on where it is."""
    ids = published(scene, 6)
    relay = scene.relay(size=2)
    relay.drain()
    rewind(scene, ids[0])
    relay.acquire()
    relay.page()
    relay.settle()
    assert rewind(scene, ids[4]) == ids[1] + 1
    relay.acquire()
    assert relay.drain() == ids[2:]
    rewind(scene, ids[4])
    rewind(scene, ids[3])
    relay.acquire()
    assert relay.drain() == ids[3:]


def test_a_rewind_to_a_time_starts_at_the_smallest_id_published_since(scene: Scene) -> None:
    """Ids and times are only nearly in the same order: one that is older by its time may come along."""
    waiting = scene.begin()
    ids = published(scene, 3)
    (time,) = scene.admin.run("select clock_timestamp()::text")[0]
    ids += published(scene, 2)
    waiting.publish()
    waiting.commit()
    relay = scene.relay()
    relay.drain()
    assert rewind_to_time(scene, time) == ids[3]
    relay.acquire()
    assert relay.drain() == [ids[3], ids[4], ids[4] + 1]


def test_a_rewind_to_a_time_after_everything_sends_nothing_again(scene: Scene) -> None:
    """There is no id to go to, and the call says so."""
    published(scene, 3)
    relay = scene.relay()
    relay.drain()
    assert rewind_to_time(scene, "2999-01-01") is None
    relay.acquire()
    assert relay.drain() == []


@pytest.mark.parametrize("by", ["id", "time"])
def test_a_target_below_what_is_retained_is_refused_naming_the_oldest_message(scene: Scene, by: str) -> None:
    """Half a replay would look like a whole one."""
    (gone,) = published(scene, 1)
    (time,) = scene.admin.run("select clock_timestamp()::text")[0]
    relay = scene.relay()
    relay.drain()
    retention(scene)
    kept = published(scene, 2)
    relay.drain()
    assert retention(scene) == [("emptied", None)]
    before = scene.cursor()
    with pytest.raises(psycopg.Error) as refused:
        rewind(scene, gone) if by == "id" else rewind_to_time(scene, time)
    assert refused.value.sqlstate == "TD031"
    (row,) = scene.admin.run(f"select id, created_at::text from {scene.table} order by id limit 1")
    assert row[0] == kept[0]
    assert refused.value.diag.message_hint == (
        f"The oldest message it holds has id {row[0]}, published {row[1]}: rewind to that."
    )
    assert scene.cursor() == before
    assert rewind(scene, kept[0]) == kept[0]


@pytest.mark.parametrize("arguments", ["", ", to_id => 1, to_time => now()"], ids=["none", "both"])
def test_a_rewind_needs_one_target(scene: Scene, arguments: str) -> None:
    """Neither none nor two."""
    with pytest.raises(psycopg.Error, match="an id or a time, one of them") as refused:
        scene.admin.run(f"select tide.group_rewind('g', 'orders'{arguments})")
    assert refused.value.sqlstate == "TD006"


def test_an_unknown_group_is_refused_with_the_nearest_name(scene: Scene) -> None:
    """Groups belong to an outbox."""
    scene.add_group("accounting")
    with pytest.raises(psycopg.Error) as refused:
        scene.admin.run("select tide.group_rewind('acounting', 'orders', to_id => 1)")
    assert refused.value.sqlstate == "TD030"
    assert refused.value.diag.message_hint == "Did you mean 'accounting'?"


def test_a_skip_passes_what_is_committed_and_nothing_else(scene: Scene) -> None:
    """What is uncommitted at that moment is delivered when it commits, whatever its id."""
    late = scene.begin()
    late_id = late.publish()
    relay = scene.relay(size=2)
    relay.drain()
    published(scene, 5)
    relay.page()
    relay.settle()
    scene.admin.run("select tide.group_skip('g', 'orders')")
    relay.acquire()
    assert relay.drain() == []
    new = published(scene, 1)
    late.commit()
    assert relay.drain() == [late_id, *new]


def test_a_skip_ends_a_replay_pass(scene: Scene) -> None:
    """To the end means to the end."""
    ids = published(scene, 3)
    relay = scene.relay()
    relay.drain()
    rewind(scene, ids[0])
    scene.admin.run("select tide.group_skip('g', 'orders')")
    relay.acquire()
    assert relay.drain() == []


@pytest.mark.parametrize(
    "statement",
    [
        "select tide.group_rewind('g', 'orders', to_id => 0)",
        "select tide.group_skip('g', 'orders')",
        "select tide.group_rebase('g', 'orders')",
        "select tide.relay_set_outbox('p', 'orders', 'new', %s::jsonb)",
    ],
    ids=["rewind", "skip", "rebase", "create"],
)
@pytest.mark.parametrize("depth", [1, 2])
def test_a_move_inside_a_savepoint_raises_no_doubt(scene: Scene, statement: str, depth: int) -> None:
    """A row written there carries the savepoint's xid, and so does its stamp."""
    config = '{"sink_type": "kafka", "brokers": "localhost:9092", "topic": "t"}'
    session = scene.begin()
    session.take_xid()
    for number in range(depth):
        session.savepoint(f"s{number}")
        session.take_xid()
    session.run(statement, [config] if "%s" in statement else [])
    session.run("release savepoint s0")
    session.commit()
    assert scene.admin.run("select count(*) from tide.consumer_groups where doubt is not null") == [(0,)]
    scene.relay().acquire()


def test_a_rolled_back_move_is_none(scene: Scene) -> None:
    """Also one that was rolled back to its savepoint."""
    ids = published(scene, 3)
    relay = scene.relay()
    relay.drain()
    before = scene.cursor()
    session = scene.begin()
    session.savepoint("s")
    session.run("select tide.group_rewind('g', 'orders', to_id => %s)", [ids[0]])
    session.rollback_to("s")
    session.commit()
    assert scene.cursor() == before
    assert relay.drain() == []


def groups_of(scene: Scene) -> tuple[Relay, Relay]:
    """Two groups on one outbox: one from the beginning, one that starts now."""
    late = scene.add_group("late", start="latest")
    return scene.relay(), scene.relay(group_id=late)


def test_two_groups_of_an_outbox_each_see_every_message(scene: Scene) -> None:
    """Each has a cursor of its own; a rewind moves one."""
    other_id = scene.add_group("other")
    ids = published(scene, 4)
    first, second = scene.relay(size=3), scene.relay(group_id=other_id)
    assert first.drain() == ids
    assert second.drain() == ids
    rewind(scene, ids[2])
    first.acquire()
    assert first.drain() == ids[2:]
    assert second.drain() == []


def test_a_group_that_starts_late_sees_what_commits_from_then_on(scene: Scene) -> None:
    """Also what was published before, by a transaction that was open then: it commits later."""
    published(scene, 2)
    open_then = scene.begin()
    open_id = open_then.publish()
    first, late = groups_of(scene)
    assert late.drain() == []
    new = published(scene, 2)
    open_then.commit()
    assert late.drain() == [open_id, *new]
    assert len(first.drain()) == 5


def test_a_group_that_starts_late_can_be_rewound_to_before_its_start(scene: Scene) -> None:
    """The outbox holds the messages, whoever asks for them."""
    ids = published(scene, 3)
    _, late = groups_of(scene)
    assert late.drain() == []
    scene.admin.run("select tide.group_rewind('late', 'orders', to_id => %s)", [ids[1]])
    late.acquire()
    assert late.drain() == ids[1:]
