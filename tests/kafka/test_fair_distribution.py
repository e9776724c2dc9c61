"""Relays share the pipelines of a database evenly: processes that come, die, leave in order, and can't drive all."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from fix_kafka import ReadTopic
from fix_relay import Relay, StartRelay
from relay_kit import Tide, ids
from waiting import eventually, for_all_of

LEASE_MS = 6_000  # a busy machine must not make a relay lose what it drives
TIMEOUT_MS = 3_000
PIPELINES = 6
SHARED_WITHIN_S = 30.0  # a look each half a second; the rest is for a busy machine


class Fleet:
    """Relays on one database."""

    def __init__(self, tide: Tide, topic: str, start_relay: StartRelay) -> None:
        self.tide = tide
        self._start = start_relay
        tide.outbox()
        self.names = [
            tide.pipeline(topic, name=f"pipeline-{number}", request_timeout_ms=TIMEOUT_MS)
            for number in range(PIPELINES)
        ]

    def start(self, relay_id: str, *flags: str, env: Mapping[str, str] | None = None) -> Relay:
        return self._start(
            self.tide.dsn, "--relay-id", relay_id, "--lease-ms", str(LEASE_MS), *flags, env=env
        )

    def owners(self) -> dict[str, str | None]:
        """Owner by pipeline."""
        return dict(self.tide.rows("select pipeline, owner from tide.pipelines"))

    def until_shared(self, nobody: int = 0, **loads: int) -> None:
        """Each relay drives so many, and nobody so many."""
        eventually(
            lambda: Counter(self.owners().values()) == Counter({None: nobody, **loads}),
            within=SHARED_WITHIN_S,
            why=self.owners,
        )


def test_relays_that_come_and_go_share_evenly_and_repeat_nothing_unless_killed(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Under a backlog: what is given back was settled, so that each pipeline sends each message once."""
    fleet = Fleet(tide, topic, start_relay)
    published = tide.publish_many(3_000, key="one")
    first = fleet.start("first")
    fleet.until_shared(first=6)
    second = fleet.start("second")
    fleet.until_shared(first=3, second=3)
    published += tide.publish_many(3_000, key="two")
    third = fleet.start("third")
    fleet.until_shared(first=2, second=2, third=2)
    given = {relay: len(relay.lines("pipeline_given_back")) for relay in (first, second, third)}
    assert given == {first: 4, second: 1, third: 0}
    for_all_of(1.5, lambda: Counter(fleet.owners().values()) == {"first": 2, "second": 2, "third": 2})
    tide.until_settled(*fleet.names)
    assert not [line for relay in given for line in relay.lines("lease_ran_out")]
    assert set(Counter(ids(read_topic(topic))).values()) == {PIPELINES}

    third.kill()
    fleet.until_shared(first=3, second=3)
    assert first.terminate() == 0
    fleet.until_shared(second=6)
    published += tide.publish_many(10, key="three")
    tide.until_settled(*fleet.names)
    assert set(ids(read_topic(topic))) == set(published)
    assert tide.value("select cardinality(take_overs) <= 2 from tide.relays where relay_id = 'second'")


def test_relays_take_part_for_what_they_can_drive(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """One is told to drive two pipelines only, one lacks the variable that three of the six need: each pipeline finds
    who can drive it, also when a change takes it from its owner."""
    fleet = Fleet(tide, topic, start_relay)
    variable: dict[str, Any] = {"topic": "${env:TIDE_TOPIC}", "request_timeout_ms": TIMEOUT_MS}
    for name in fleet.names[:3]:
        tide.pipeline(name=name, **variable)
    fleet.start("lacks")
    tide.until_told("TD020", fleet.names[0])
    fleet.until_shared(lacks=3, nobody=3)
    fleet.start("told", "--pipeline", fleet.names[4], "--pipeline", fleet.names[5])
    fleet.until_shared(lacks=2, told=1, nobody=3)
    has = fleet.start("has", env={"TIDE_TOPIC": topic})
    fleet.until_shared(lacks=2, told=1, has=3)
    assert tide.value("select serves from tide.relays where relay_id = 'told'") == fleet.names[4:]
    tide.pipeline(name=fleet.names[3], **variable)
    fleet.until_shared(lacks=1, told=1, has=4)
    published = tide.publish()
    tide.until_settled(*fleet.names)
    assert ids(read_topic(topic, PIPELINES)) == [published] * PIPELINES
    tide.until_state("running", fleet.names[3])
    assert not has.lines("pipeline_given_back")
