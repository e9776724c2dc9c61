"""An owner that is stopped or cut off, its successor, and what comes late: what is promised, and what is not."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import pytest

from faults.campaign import BATCH_SIZE, BATCHES_IN_FLIGHT, Campaign
from faults.conftest import NewCampaign
from faults.faultproxy import FaultProxy
from fix_kafka import NewKafka
from fix_relay import Relay
from fix_run import Progress
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer
from waiting import eventually, for_all_of

STOPS = 4
WINDOW = BATCHES_IN_FLIGHT * BATCH_SIZE


@dataclass(frozen=True)
class Network:
    """Kafka behind a proxy."""

    proxy: FaultProxy
    kafka: KafkaServer

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.proxy.port}"


@pytest.fixture
def network(new_kafka: NewKafka) -> Iterator[Network]:
    """A broker that all clients are led to through the proxy."""
    with FaultProxy() as proxy:
        kafka = new_kafka(properties={"advertised.listeners": f"PLAINTEXT://127.0.0.1:{proxy.port}"})
        host, _, port = kafka.bootstrap.rpartition(":")
        proxy.target = (host, int(port))
        yield Network(proxy, kafka)


def on_the_way(campaign: Campaign, network: Network) -> list[int]:
    """Five messages are delivered; five more have left the relay and are kept in the network. All their ids."""
    first = [campaign.publish() for _ in range(5)]
    eventually(lambda: len(campaign.arrived()) == 5)
    network.proxy.hold()
    campaign.publish_many(5)
    (*_, last) = late = [
        one.identity.id for one in campaign.ledger().committed if one.identity.id not in first
    ]
    eventually(lambda: b"%d" % last in network.proxy.kept)
    return sorted(first + late)


def test_hazard_05_late_packets_of_a_stopped_owner_land_behind_its_successors_records(
    database18: Database, network: Network, new_campaign: NewCampaign
) -> None:
    """The invariant holds, and the key ends with an old record: this is what is NOT promised.

    No lease prevents it: the packets are in the network. A consumer drops what is not above the highest id it
    has seen of the key.
    """
    campaign = new_campaign(database18.dsn, network.bootstrap)
    owner = campaign.start_relay()
    owner.wait_for("pipeline_acquired")
    ids = on_the_way(campaign, network)
    owner.pause()
    successor = campaign.start_relay()
    ids += [campaign.publish() for _ in range(3)]
    campaign.wait_until_delivered(successor)
    assert [record.identity.id for record in campaign.arrived()] == ids

    network.proxy.release()
    eventually(lambda: len(campaign.arrived()) == len(ids) + 5)
    ledger = campaign.ledger()
    assert [record.identity.id for record in campaign.arrived()] == [*ids, *ids[5:10]]
    assert ledger.verdict.is_clean, str(ledger.verdict)
    assert ledger.stale_keys() == (b"k0",)

    owner.resume()
    owner.wait_for(lambda: owner.lines("cursor_changed") or owner.lines("lease_ran_out"))
    ids.append(campaign.publish())
    campaign.wait_until_delivered(successor)
    assert campaign.ledger().verdict.is_clean
    assert campaign.ledger().stale_keys() == ()
    assert campaign.state()["owner"] == successor.wait_for("pipeline_acquired")["relay_id"]


def test_hazard_05_an_owner_cut_off_takes_back_what_it_has_sent_when_its_lease_ends(
    database18: Database, network: Network, new_campaign: NewCampaign
) -> None:
    """Neither the database nor Kafka answers it: by its own clock it closes its connections, and packets with them."""
    campaign = new_campaign(database18.dsn, network.bootstrap)
    with FaultProxy() as to_database:
        address = urlsplit(database18.dsn)
        to_database.target = (str(address.hostname), int(address.port or 0))
        password = address.netloc.rpartition("@")[0]
        through = urlunsplit(address._replace(netloc=f"{password}@127.0.0.1:{to_database.port}"))
        owner = campaign.start_relay(dsn=through)
        owner.wait_for("pipeline_acquired")
        ids = on_the_way(campaign, network)
        to_database.hold()
        successor = campaign.start_relay()
        owner.wait_for("lease_ran_out")
        ids += [campaign.publish() for _ in range(3)]
        campaign.wait_until_delivered(successor)
        network.proxy.release()
        to_database.release()
        ids.append(campaign.publish())
        campaign.wait_until_delivered(successor)
        for_all_of(1.0, lambda: owner.exit_code is None)
        ledger = campaign.ledger()
        assert [record.identity.id for record in campaign.arrived()] == ids
        assert ledger.stale_keys() == ()


def header_of(message_id: int) -> bytes:
    """The header that names a message, as a record batch has it: lengths are zigzag varints."""
    number = b"%d" % message_id
    return b"pg_tide_id" + bytes([2 * len(number)]) + number


def frozen_with_a_full_queue(
    campaign: Campaign, network: Network, progress: Progress, frozen_s: float = 0.0
) -> None:
    """The owner's first request is kept in the network and its queue is full; another takes over while it sleeps.

    When it wakes, its client finds the answer and has a queue to send, and Python has reports to serve.
    """
    owner = campaign.start_relay("--relay-id", "sleeper")
    owner.wait_for("pipeline_acquired")
    campaign.publish_one_by_one(5)
    eventually(lambda: len(campaign.arrived()) == 5)
    network.proxy.hold()
    campaign.publish_many(WINDOW, keys=3)
    ids = [one.identity.id for one in campaign.ledger().committed]
    eventually(lambda: header_of(ids[BATCH_SIZE]) in network.proxy.kept)
    for_all_of(0.3, lambda: owner.exit_code is None)  # the rest lies in its queue by now
    owner.pause()
    on_the_wire = sum(header_of(one) in network.proxy.kept for one in ids)
    stopped = time.monotonic()
    successor = campaign.start_relay("--relay-id", "successor")
    campaign.wait_until_delivered(successor)
    for_all_of(frozen_s - (time.monotonic() - stopped), lambda: successor.exit_code is None)
    network.proxy.release()
    eventually(lambda: len(campaign.arrived()) == len(ids) + on_the_wire)

    owner.resume()
    ran_out = owner.wait_for("lease_ran_out")
    assert ran_out["in_flight"] >= WINDOW  # not one report was served before
    campaign.publish_one_by_one(3)
    campaign.wait_until_delivered(successor)
    ledger = campaign.ledger()
    late = ledger.duplicates - on_the_wire
    progress(f"{WINDOW} in flight, {on_the_wire} of them on the wire; sent after it woke: {late}")
    assert ledger.verdict.is_clean, str(ledger.verdict)
    assert late <= WINDOW - on_the_wire
    cursor = campaign.cursor()
    assert (cursor["owner"], cursor["epoch"], cursor["taken_over_from"]) == ("successor", 2, "sleeper")
    assert not owner.lines("cursor_changed")  # it has not even tried to settle
    with campaign.connect() as session:
        shown = session.execute(
            "select take_overs[1] from tide.relays where relay_id = 'successor'"
        ).fetchone()
    assert shown is not None
    assert shown[0].startswith(f"{campaign.pipeline} from sleeper at ")


def test_an_owner_frozen_with_a_full_queue_checks_its_lease_first_when_it_wakes(
    database18: Database, network: Network, new_campaign: NewCampaign, progress: Progress
) -> None:
    """It serves no report, takes its queue back, and settles nothing. What its client's own thread was quicker with
    are copies, in order among themselves."""
    frozen_with_a_full_queue(new_campaign(database18.dsn, network.bootstrap), network, progress)


@pytest.mark.nightly
def test_an_owner_frozen_for_half_a_minute_with_a_full_queue_does_no_other_harm(
    database18: Database, network: Network, new_campaign: NewCampaign, progress: Progress
) -> None:
    """Longer than connections to the database are silent without a question whether they are there."""
    frozen_with_a_full_queue(new_campaign(database18.dsn, network.bootstrap), network, progress, frozen_s=30)


def acquisitions(relay: Relay) -> int:
    """How often it has become the owner."""
    return len(relay.lines("pipeline_acquired"))


def has_acquired_again(relay: Relay, before: int) -> bool:
    return acquisitions(relay) > before


def test_hazard_05_owners_stopped_under_load_and_let_go_again_lose_and_overtake_nothing(
    database18: Database,
    kafka: KafkaServer,
    new_campaign: NewCampaign,
    chance: random.Random,
    progress: Progress,
) -> None:
    """Each time the other relay takes over, and the stopped one wakes up with its requests half sent."""
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3)
    load = campaign.load({"messages": 10**9, "seed": chance.randrange(10**6), "publishers": 6})
    owner, other = campaign.start_relay(), campaign.start_relay()
    if eventually(lambda: acquisitions(owner) + 2 * acquisitions(other)) == 2:
        owner, other = other, owner
    for _ in range(STOPS):
        campaign.wait_until_it_settles(owner)
        before = acquisitions(other)
        owner.pause()
        other.wait_for(partial(has_acquired_again, other, before))
        owner.resume()
        owner, other = other, owner
    load.stop()
    campaign.wait_until_delivered(owner)
    ledger = campaign.ledger()
    progress(f"{len(ledger.committed)} messages, {STOPS} stops, {ledger.duplicates} duplicates")
    assert ledger.verdict.is_clean, str(ledger.verdict)
