"""A relay is killed, at each named place and at any moment: its successor goes on, nothing lost, nothing reordered."""

import random
import signal
import time

import pytest

from faults.campaign import BATCH_SIZE, BATCHES_IN_FLIGHT, Campaign
from faults.conftest import NewCampaign
from fix_relay import Relay
from fix_run import Progress
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer
from pg_tide_relay.failpoints import NAMES

KILLS = 50
LANES = 5
STOPS = 3
WAITING = 600

MOMENTS = {
    "after_acquire": 1,
    "after_window_open": 2,
    "before_flush": 2,
    "after_fetch": 3,
    "before_hand_over": 3,
    "after_hand_over": 3,
    "on_acknowledgement": 2,
    "before_settle": 2,
    "after_settle": 2,
    "before_release": 1,
}
"""Which passage of a failpoint is the last one; by then the relay has done something that matters there."""

ELSEWHERE = ("redrive", "shards", "replay", "fence", "keep", "commit")
"""Parts of the names of failpoints that a relay comes to when it does something else: other campaigns kill it there."""


@pytest.mark.parametrize("failpoint", [name for name in NAMES if not any(part in name for part in ELSEWHERE)])
def test_a_relay_killed_at_a_failpoint_loses_and_reorders_nothing(
    database18: Database, kafka: KafkaServer, new_campaign: NewCampaign, chance: random.Random, failpoint: str
) -> None:
    """Messages wait, more arrive while it dies, and the successor ends what it began."""
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3)
    campaign.publish_many(WAITING, keys=7)
    plan = {"messages": 10**9, "publishers": 3, "entities": 10, "hold_ms": 20}
    load = campaign.load({"seed": chance.randrange(10**6), **plan})
    doomed = campaign.start_relay(env={"PG_TIDE_FAILPOINTS": f"{failpoint}=kill@{MOMENTS[failpoint]}"})
    if failpoint == "before_release":
        doomed.wait_for("pipeline_acquired")
        doomed.signal(signal.SIGTERM)
    assert doomed.wait() == -signal.SIGKILL, doomed.process.tail()
    successor = campaign.start_relay()
    load.stop()
    campaign.wait_until_delivered(successor)

    assert successor.terminate() == 0
    assert len(successor.lines("pipeline_acquired")) == 1, (
        "it began twice: something was forgotten for nothing"
    )
    verdict = campaign.ledger().verdict
    assert verdict.is_clean, str(verdict)


class Lane:
    """One pipeline whose relay is killed a random time after it has acquired, and started again."""

    def __init__(self, campaign: Campaign, chance: random.Random) -> None:
        self.campaign = campaign
        self.relay: Relay = campaign.start_relay()
        self.kills = 0
        self._chance = chance
        self._kill_at = float("inf")

    def step(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        if now >= self._kill_at:
            self.relay.kill()
            self.kills += 1
            self._kill_at = float("inf")
            self.relay = self.campaign.start_relay()
        elif self._kill_at == float("inf") and self.relay.lines("pipeline_acquired"):
            self._kill_at = now + self._chance.uniform(0.0, 0.8)


def test_kills_at_random_moments_under_load_lose_and_reorder_nothing(
    database18: Database,
    kafka: KafkaServer,
    new_campaign: NewCampaign,
    chance: random.Random,
    progress: Progress,
) -> None:
    """Fifty of them, over five groups of one outbox; what is sent again is what was in flight, no more."""
    first = new_campaign(database18.dsn, kafka.bootstrap, partitions=3)
    others = [
        new_campaign(database18.dsn, kafka.bootstrap, partitions=3, outbox=first.outbox)
        for _ in range(LANES - 1)
    ]
    load = first.load({"messages": 10**9, "seed": chance.randrange(10**6), "publishers": 6, "hold_ms": 40})
    lanes = [Lane(campaign, chance) for campaign in (first, *others)]
    while sum(lane.kills for lane in lanes) < KILLS:
        for lane in lanes:
            lane.step()
        assert load.runs, load.process.tail()
        time.sleep(0.01)
    load.stop()
    for lane in lanes:
        lane.campaign.wait_until_delivered(lane.relay)

    ledgers = [lane.campaign.ledger() for lane in lanes]
    found = [(lane.kills, ledger.duplicates) for lane, ledger in zip(lanes, ledgers, strict=True)]
    progress(f"{len(ledgers[0].committed)} messages to each of {LANES} groups, kills and duplicates: {found}")
    for lane, ledger in zip(lanes, ledgers, strict=True):
        assert ledger.verdict.is_clean, str(ledger.verdict)
        assert ledger.duplicates <= lane.kills * BATCH_SIZE * (BATCHES_IN_FLIGHT + 1)


def test_relays_stopped_in_order_under_load_repeat_nothing(
    database18: Database, kafka: KafkaServer, new_campaign: NewCampaign, chance: random.Random
) -> None:
    """SIGTERM awaits and settles what was sent and signs off: the successor begins at once, behind it."""
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3)
    load = campaign.load({"messages": 10**9, "seed": chance.randrange(10**6), "publishers": 6})
    relay = campaign.start_relay()
    for _ in range(STOPS):
        campaign.wait_until_it_settles(relay)
        assert relay.terminate() == 0
        relay = campaign.start_relay()
    load.stop()
    campaign.wait_until_delivered(relay)
    ledger = campaign.ledger()
    assert ledger.verdict.is_clean, str(ledger.verdict)
    assert ledger.duplicates == 0
