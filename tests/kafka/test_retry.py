"""Attempts as an operator sees them: counted, with the time of the next one, each written down once."""

from datetime import UTC, datetime, timedelta

from fix_kafka import MakeTopic
from fix_relay import StartRelay
from pg_tide_dev.kafka import create_topic
from relay_kit import FAST, Tide
from waiting import eventually

NOTED = """
create table public.noted (state text, attempts integer, next_attempt_at timestamptz);
create function public.note() returns trigger language plpgsql security definer as $$
begin
  insert into public.noted values (new.state, new.attempts, new.next_attempt_at);
  return null;
end $$;
create trigger note after insert or update on tide.pipeline_state for each row execute function public.note()"""


def test_attempts_are_counted_until_the_topic_is_there_and_each_is_written_once(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay
) -> None:
    """On call, one row says it all: backing off, for the fourth time, and when it is tried again."""
    tide.connection.execute(NOTED)
    tide.outbox()
    missing = f"{make_topic()}-missing"
    tide.pipeline(missing, topics={"policy": "require"}, retry={"backoff_ms": 100, "backoff_max_ms": 400})
    tide.publish()
    start_relay(tide.dsn, *FAST)
    row = eventually(lambda: found if (found := tide.pipeline_row()).attempts == 4 else None)
    assert (row.state, row.error_class) == ("backing_off", "destination")
    assert abs(row.next_attempt_at - datetime.now(UTC)) < timedelta(seconds=30)
    create_topic(tide.bootstrap, missing)
    tide.until_settled()
    row = tide.until_state("running")
    assert (row.attempts, row.next_attempt_at) == (None, None)
    noted = tide.rows("select * from public.noted")
    counted = [one.attempts for one in noted if one.attempts is not None]
    assert counted == list(range(1, len(counted) + 1))
    assert len(noted) <= len(counted) + 2  # before the first, and when it runs
    times = [one.next_attempt_at for one in noted if one.attempts is not None]
    assert times == sorted(times)
