"""The relay's wall clock is stepped, as an administrator or a bad time server does: delivery goes on."""

import pytest

from faults.conftest import NewCampaign
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer
from pg_tide_dev.processes import Run
from torture.clock import new_clock

HOUR = 3600
STEPS = {"an hour ahead": [HOUR], "an hour behind": [-HOUR], "ahead and back": [HOUR, 0]}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_a_step_of_the_wall_clock_stops_no_delivery(
    dev_run: Run, database18: Database, kafka: KafkaServer, new_campaign: NewCampaign, steps: list[int]
) -> None:
    """Leases and pauses are counted by the monotonic clock and the database's."""
    clock = new_clock(dev_run.make_folder("clock"))
    if clock is None:
        pytest.skip("no C compiler: nothing can be put before the relay's clock")
    campaign = new_campaign(database18.dsn, kafka.bootstrap)
    relay = campaign.start_relay(env=clock.environment)
    campaign.publish_one_by_one(20)
    campaign.wait_until_delivered(relay)
    for seconds in steps:
        clock.step(seconds)
        campaign.publish_one_by_one(20)
        campaign.wait_until_delivered(relay)
    ledger = campaign.ledger()
    assert ledger.verdict.is_clean, str(ledger.verdict)
    assert ledger.duplicates == 0
