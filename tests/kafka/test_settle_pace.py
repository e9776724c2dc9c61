"""How often a running relay writes its cursor, and how much of it: counted by PostgreSQL."""

from datetime import datetime

from fix_kafka import MakeTopic
from fix_relay import StartRelay
from relay_kit import Tide
from waiting import eventually, for_all_of

PAGES = 200
BATCH = 20
SETTLE_EVERY_S = 0.05


def calls(tide: Tide, function: str) -> int:
    """How often sessions that have ended called a function of the schema."""
    return int(
        tide.value(
            "select coalesce(sum(calls), 0) from pg_stat_user_functions where schemaname = 'tide' and funcname = %s",
            function,
        )
    )


def test_hazard_15_settles_are_bounded_by_time_and_write_snapshots_only_when_the_window_changes(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay
) -> None:
    """Beside an old snapshot every settle leaves a row version behind: 200 pages of one window, then nothing to do."""
    tide.connection.execute(
        f"alter database {tide.connection.info.dbname} set track_functions = 'pl'".encode()
    )
    tide.outbox()
    tide.pipeline(make_topic(), batch_size=BATCH)
    tide.publish_many(PAGES * BATCH, key="one")
    relay = start_relay(tide.dsn, "--relay-id", "r")
    end = eventually(lambda: None if (row := tide.cursor_row()).prev == "1:1:" else row)
    for_all_of(1.0, lambda: tide.cursor_row().settled_at == end.settled_at)
    assert relay.terminate() == 0
    sessions = "select count(*) from pg_stat_activity where starts_with(application_name, 'pg-tide r ')"
    eventually(lambda: tide.value(sessions) == 0)

    begun = datetime.fromisoformat(relay.lines("pipeline_acquired")[0]["timestamp"])
    seconds = (end.settled_at - begun).total_seconds()
    within, of_windows = calls(tide, "_cursor_settle"), calls(tide, "_cursor_settle_window")
    assert within + of_windows <= seconds / SETTLE_EVERY_S + 2
    assert within > 0
    assert of_windows == 2  # the window's beginning and its end
