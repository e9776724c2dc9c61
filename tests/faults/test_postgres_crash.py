"""PostgreSQL crashes, with synchronous_commit off wherever it can be: what was committed arrives, nothing else."""

import random
import time

from faults.campaign import Campaign
from faults.conftest import NewCampaign
from faults.ledger import committed_in
from faults.servers import crash
from fix_run import Progress
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer
from waiting import eventually, for_all_of

CRASHES = 5
LONG_LEASE = (
    "--lease-ms",
    "600000",
)  # renewals commit synchronously and would write the log through for others


def test_hazard_02_crashes_under_load_lose_nothing_and_invent_nothing(
    durable: Database,
    kafka: KafkaServer,
    new_campaign: NewCampaign,
    chance: random.Random,
    progress: Progress,
) -> None:
    """The relay lives through all of them; each commit that was answered is there afterwards, and on the topic."""
    campaign = new_campaign(durable.dsn, kafka.bootstrap, partitions=3)
    plan = {"publishers": 6, "hold_ms": 10, "old_writer": False, "record": True}
    load = campaign.load({"messages": 10**9, "seed": chance.randrange(10**6), **plan})
    relay = campaign.start_relay()
    for _ in range(CRASHES):
        campaign.wait_until_it_settles(relay)
        time.sleep(chance.uniform(0.0, 1.0))  # chance, not synchronisation
        crash(durable)
    campaign.wait_until_it_settles(relay)
    load.stop()
    campaign.wait_until_delivered(relay)

    ledger = campaign.ledger()
    acknowledged = load.acknowledged()
    progress(f"{len(ledger.committed)} messages, {CRASHES} crashes, {ledger.duplicates} duplicates")
    assert ledger.verdict.is_clean, str(ledger.verdict)
    assert len(acknowledged) > 200
    assert acknowledged <= {one.identity for one in ledger.committed}
    assert relay.exit_code is None


def test_hazard_04_a_publish_is_durable_where_synchronous_commit_is_off(
    durable: Database, kafka: KafkaServer, new_campaign: NewCampaign
) -> None:
    """The crash comes right behind the commit, and takes back a commit without a message."""
    campaign = new_campaign(durable.dsn, kafka.bootstrap)
    with campaign.connect() as connection:
        connection.execute("create table fire_plain (n integer)")
    published = campaign.publish()
    with campaign.connect() as connection:
        connection.execute("insert into fire_plain values (1)")
    crash(durable)
    with campaign.connect() as connection:
        assert connection.execute("select count(*) from fire_plain").fetchone() == (0,)
    assert [one.identity.id for one in committed_in(durable.dsn, campaign.outbox)] == [published]


def test_hazard_04_what_was_sent_is_never_taken_back(
    durable: Database, kafka: KafkaServer, new_campaign: NewCampaign
) -> None:
    """A publisher turns synchronous_commit off after its publish: the log is flushed before the message is sent."""
    campaign = new_campaign(durable.dsn, kafka.bootstrap)
    relay = campaign.start_relay(*LONG_LEASE)
    campaign.publish()
    eventually(lambda: len(campaign.arrived()) == 1, why=relay.process.tail)
    with campaign.connect() as connection, connection.transaction():
        connection.execute("select tide.outbox_publish(%s, '{}', key => 'k')", [campaign.outbox])
        connection.execute("set local synchronous_commit = off")
    eventually(lambda: len(campaign.arrived()) == 2, why=relay.process.tail)
    crash(durable)
    assert campaign.ledger().verdict.is_clean, str(campaign.ledger().verdict)


def test_hazard_02_a_transaction_id_that_is_used_again_is_not_passed_over(
    durable: Database, kafka: KafkaServer, new_campaign: NewCampaign
) -> None:
    """The relay has seen transactions end whose end a crash takes back; their ids carry messages the next time."""
    campaign = new_campaign(durable.dsn, kafka.bootstrap)
    relay = campaign.start_relay(*LONG_LEASE)
    campaign.publish()
    campaign.wait_until_delivered(relay)
    seen = roll_back_transactions(campaign, 50)
    crash(durable)
    with campaign.connect() as connection:
        row = connection.execute("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint").fetchone()
    assert row is not None
    assert row[0] < seen, "the crash took nothing back: this test proves nothing"
    campaign.publish_one_by_one(50)
    campaign.wait_until_delivered(relay)
    assert campaign.ledger().verdict.is_clean, str(campaign.ledger().verdict)


def roll_back_transactions(campaign: Campaign, count: int) -> int:
    """Use up transaction ids, their ends not flushed, and give the relay time to see it; the last of them."""
    with campaign.connect() as connection:
        for _ in range(count):
            connection.execute("begin")
            row = connection.execute("select pg_current_xact_id()::text::bigint").fetchone()
            connection.execute("rollback")
    assert row is not None
    return int(row[0])


def test_an_absence_of_the_database_does_not_prolong_itself(
    durable: Database, kafka: KafkaServer, new_campaign: NewCampaign
) -> None:
    """However often the relay has knocked meanwhile, it goes on a few seconds after the database is back."""
    campaign = new_campaign(durable.dsn, kafka.bootstrap)
    relay = campaign.start_relay()
    campaign.publish()
    campaign.wait_until_delivered(relay)
    durable.server.stop()
    for_all_of(8.0, lambda: relay.exit_code is None)
    durable.server.start()
    campaign.publish()
    campaign.wait_until_delivered(relay, within=6.0)
