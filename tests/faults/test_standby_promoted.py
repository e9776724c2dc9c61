"""A standby that was behind is promoted: everything that it holds arrives, and the relay says what happened."""

import random

import pytest

from faults.campaign import Campaign
from faults.conftest import NewCampaign
from faults.ledger import arrived_on
from faults.servers import Pair
from fix_relay import Relay
from fix_run import Progress
from kafka.verifying import verify_at
from pg_tide_dev.kafka import KafkaServer


def fall_behind(pair: Pair, campaign: Campaign, relay: Relay, seed: int) -> None:
    """Half of a load is on both servers, the other half on the primary alone; all of it is delivered."""
    campaign.load({"messages": 600, "seed": seed, "hold_ms": 10, "old_writer": False}).finish()
    pair.catch_up()
    pair.cut()
    campaign.publish_one_by_one(300)
    campaign.wait_until_delivered(relay)


@pytest.mark.parametrize("relay_lives", [True, False], ids=["the_relay_lives", "another_relay"])
def test_hazard_03_a_standby_promoted_while_behind_loses_nothing_that_it_holds(
    pair: Pair,
    kafka: KafkaServer,
    new_campaign: NewCampaign,
    chance: random.Random,
    progress: Progress,
    relay_lives: bool,
) -> None:
    """Phantoms and ids that are used again are what an asynchronous fail-over costs; the pair tells them apart."""
    campaign = new_campaign(pair.either, kafka.bootstrap, partitions=3)
    relay = campaign.start_relay()
    fall_behind(pair, campaign, relay, chance.randrange(10**6))
    if not relay_lives:
        relay.kill()
    pair.fail_over()
    if not relay_lives:
        relay = campaign.start_relay()
    campaign.publish_one_by_one(300)
    campaign.wait_until_delivered(relay)

    ledger = campaign.ledger()
    verdict = ledger.verdict
    used_again = {one.id for one in verdict.phantom} & {one.identity.id for one in ledger.committed}
    progress(
        f"{len(ledger.committed)} messages, {len(verdict.phantom)} phantoms, {len(used_again)} ids used again"
    )
    assert (verdict.lost, verdict.reordered, verdict.overtaken) == ((), (), ()), str(verdict)
    assert len(verdict.phantom) == 300
    strange = set(verdict.phantom)
    of_phantoms = sum(one.identity in strange for one in arrived_on(campaign.records()))
    found = verify_at(pair.either, campaign.pipeline)
    assert (found.code, found.count("phantoms")) == (0, of_phantoms)
    assert found.count("duplicates") == ledger.duplicates - (of_phantoms - len(strange))
    assert len(used_again) > 200
    if relay_lives:
        told = relay.wait_for("timeline_changed")
        assert (told["before"], told["now"]) == (1, 2)


def test_hazard_03_a_switchover_costs_nothing(
    pair: Pair, kafka: KafkaServer, new_campaign: NewCampaign
) -> None:
    """The standby has everything: the relay goes on by itself, and there is not even a duplicate that need not be."""
    campaign = new_campaign(pair.either, kafka.bootstrap)
    relay: Relay = campaign.start_relay()
    campaign.publish_one_by_one(50)
    campaign.wait_until_delivered(relay)
    pair.primary.stop()
    pair.standby.promote()
    campaign.publish_one_by_one(50)
    campaign.wait_until_delivered(relay)
    ledger = campaign.ledger()
    assert ledger.verdict.is_clean, str(ledger.verdict)
    assert ledger.duplicates == 0
    told = verify_at(pair.either, campaign.pipeline)
    assert (told.code, told.found, told.report["messages"]["compared"]) == (0, {}, 100)
