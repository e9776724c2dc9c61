"""Every way to authenticate against every fault that it can meet: said with its cure, nothing lost, nothing skipped.

One relay for all; each test has an outbox, a topic and a pipeline of its own, configured as the page prints it.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fix_kafka import ReadTopic
from fix_relay import StartRelay
from pg_tide_dev.kafka import create_topic
from relay_kit import Tide, difference, first_occurrences, ids
from secured_kafka import SecuredKafka
from secured_kit import (
    CERTIFIED_USER,
    LISTENER,
    NEXT_PASSWORD,
    SCRAM_PASSWORD,
    WAITING,
    Case,
    Config,
    NewCase,
    environment,
    without,
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong, what an operator is told of it, and what ends it."""

    ways: tuple[str, ...]
    provoke: Callable[[Case], Config | None]
    """Does it to the broker; returns the configuration where it is that."""
    state: str = "error"
    told: tuple[str, str]
    """Class and code."""
    names: Callable[[Case], str]
    """The object that the error names."""
    cure_names: tuple[str, ...]
    cure: Callable[[Case], object]


ALL_TLS = ("PLAIN", "SCRAM-SHA-256", "mTLS")


def with_keys(**keys: str) -> Callable[[Case], Config]:
    return lambda case: case.printed | keys


def configure(case: Case) -> None:
    """Set the pipeline as it is printed."""
    case.set(case.printed)


def stranger_config(case: Case) -> Config:
    certificate, key = case.strangers.issue(CERTIFIED_USER)
    return case.printed | {"tls_client_cert": str(certificate), "tls_client_key": str(key)}


def replace_certificate(case: Case) -> None:
    """The same files, renewed: they are read when the pipeline starts."""
    for theirs, ours in zip(
        case.strangers.issue(CERTIFIED_USER), case.secured.authority.issue(CERTIFIED_USER), strict=True
    ):
        theirs.write_bytes(ours.read_bytes())
    case.tide.disable(case.name)
    case.tide.enable(case.name)


def address(case: Case) -> str:
    return case.secured.addresses[LISTENER[case.way]]


TLS_KEYS = ("tls_ca_cert", "tls_client_cert", "tls_client_key")


def no_tls(case: Case) -> Config:
    return without(case.printed, *TLS_KEYS) | {"tls_enabled": False}


CREDENTIALS = ("credentials", "_AUTHENTICATION")
AT_START = {
    "a wrong password in the configuration": Fault(
        ways=("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
        provoke=with_keys(sasl_password="${env:KAFKA_PASS_WRONG}"),
        told=CREDENTIALS,
        names=address,
        cure_names=("sasl_password", "tide.relay_set_outbox"),
        cure=configure,
    ),
    "a wrong password in the cluster": Fault(
        ways=("SCRAM-SHA-256", "SCRAM-SHA-512"),
        provoke=lambda case: case.set_password("another"),
        told=CREDENTIALS,
        names=address,
        cure_names=("password in the cluster",),
        cure=lambda case: case.set_password(SCRAM_PASSWORD),
    ),
    "a mechanism that the listener does not have": Fault(
        ways=("PLAIN",),
        provoke=with_keys(sasl_mechanism="SCRAM-SHA-256"),
        told=CREDENTIALS,
        names=lambda _: "broker's supported mechanisms: PLAIN",
        cure_names=("sasl_mechanism",),
        cure=configure,
    ),
    "PLAIN where the listener has SCRAM": Fault(
        ways=("SCRAM-SHA-256",),
        provoke=with_keys(sasl_mechanism="PLAIN"),
        told=CREDENTIALS,
        names=lambda _: "SCRAM-SHA-256",
        cure_names=("sasl_mechanism",),
        cure=configure,
    ),
    "an authority that did not sign the broker's certificate": Fault(
        ways=ALL_TLS,
        provoke=lambda case: case.printed | {"tls_ca_cert": str(case.strangers.certificate)},
        told=("credentials", "_SSL"),
        names=address,
        cure_names=("tls_ca_cert",),
        cure=configure,
    ),
    "no client certificate": Fault(
        ways=("mTLS",),
        provoke=lambda case: without(case.printed, "tls_client_cert", "tls_client_key"),
        told=("credentials", "_SSL"),
        names=address,
        cure_names=("tls_client_cert", "tls_client_key"),
        cure=configure,
    ),
    "a client certificate that the broker does not trust": Fault(
        ways=("mTLS",),
        provoke=stranger_config,
        told=("credentials", "_SSL"),
        names=address,
        cure_names=("tls_client_cert", "tls_client_key"),
        cure=configure,
    ),
    "a certificate file that is replaced": Fault(
        ways=("mTLS",),
        provoke=stranger_config,
        told=("credentials", "_SSL"),
        names=address,
        cure_names=("tls_client_cert", "tls_client_key"),
        cure=replace_certificate,
    ),
    "no TLS where the listener wants it": Fault(
        ways=ALL_TLS,
        provoke=no_tls,
        state="backing_off",
        told=("cluster_away", "_ALL_BROKERS_DOWN"),
        names=address,
        cure_names=("tls_enabled", "sasl_mechanism", "brokers"),
        cure=configure,
    ),
    "TLS where the listener has none": Fault(
        ways=ALL_TLS,
        provoke=lambda case: case.printed | {"brokers": case.secured.bootstrap},
        state="backing_off",
        told=("cluster_away", "_TRANSPORT"),
        names=lambda case: case.secured.bootstrap,
        cure_names=("tls_enabled", "brokers"),
        cure=configure,
    ),
    "no right to the topic": Fault(
        ways=ALL_TLS,
        provoke=lambda case: case.revoke(),
        state="backing_off",
        told=("destination", "TOPIC_AUTHORIZATION_FAILED"),
        names=lambda case: case.topic,
        cure_names=("WRITE", "DESCRIBE"),
        cure=lambda case: case.grant(),
    ),
}
WHILE_RUNNING = {
    "the right is taken back": AT_START["no right to the topic"],
    "the password is changed, and changed back": Fault(
        ways=("SCRAM-SHA-256", "SCRAM-SHA-512"),
        provoke=Case.change_password,
        told=CREDENTIALS,
        names=address,
        cure_names=("password in the cluster",),
        cure=lambda case: case.set_password(SCRAM_PASSWORD),
    ),
    "the password is changed, and the configuration names another variable": Fault(
        ways=("SCRAM-SHA-256",),
        provoke=Case.change_password,
        told=CREDENTIALS,
        names=address,
        cure_names=("sasl_password", "tide.relay_set_outbox"),
        cure=lambda case: case.set(case.printed | {"sasl_password": "${env:KAFKA_PASS_NEXT}"}),
    ),
}


def rows(faults: dict[str, Fault]) -> list[Any]:
    """Each fault with each way; where the way makes no difference for the broker, all but the first at night."""
    return [
        pytest.param(
            way,
            fault,
            id=f"{way}: {name}",
            marks=pytest.mark.nightly if place and fault.told[0] != "destination" else (),
        )
        for name, fault in faults.items()
        for place, way in enumerate(fault.ways)
    ]


def told_and_cured(case: Case, fault: Fault, read_topic: ReadTopic) -> None:
    """The state says it all, nothing is passed over; cured, everything arrives, in order, and the state is well."""
    error_class, code = fault.told
    row = case.tide.until_told(code, case.name, part=fault.names(case))
    assert (row.state, row.error_class) == (fault.state, error_class)
    assert not [part for part in fault.cure_names if part not in row.cure], row.cure
    waiting = len(case.published) - len(
        first_occurrences(ids(read_topic(case.topic, bootstrap=case.secured.bootstrap)))
    )
    assert case.pending() == waiting == WAITING
    fault.cure(case)
    case.tide.until_settled(case.name, within=90)
    assert case.tide.until_state("running", case.name).error is None
    arrived = ids(read_topic(case.topic, bootstrap=case.secured.bootstrap))
    assert difference(first_occurrences(arrived), case.published) == ""


@pytest.mark.parametrize(("way", "fault"), rows(AT_START))
def test_a_fault_at_the_start_is_told_with_its_cure_and_loses_nothing(
    new_case: NewCase, read_topic: ReadTopic, way: str, fault: Fault
) -> None:
    case = new_case(way)
    case.publish()
    case.set(fault.provoke(case) or case.printed)
    told_and_cured(case, fault, read_topic)


@pytest.mark.parametrize(("way", "fault"), rows(WHILE_RUNNING))
def test_a_fault_while_running_is_told_with_its_cure_and_loses_nothing(
    new_case: NewCase, read_topic: ReadTopic, way: str, fault: Fault
) -> None:
    """Messages before it, messages during it: one key, one order."""
    case = new_case(way)
    case.set(case.printed)
    case.publish()
    case.tide.until_settled(case.name)
    fault.provoke(case)
    case.publish()
    told_and_cured(case, fault, read_topic)


def test_an_idle_pipeline_is_well_again_once_its_password_is_right(new_case: NewCase) -> None:
    """No message has to come for that: whoever was called by an alarm sees that it is over."""
    case = new_case("SCRAM-SHA-256")
    case.set(case.printed)
    case.publish()
    case.tide.until_settled(case.name)
    case.change_password()
    case.set_password(SCRAM_PASSWORD)
    assert case.tide.until_state("running", case.name, within=45).error is None


def test_a_relay_started_again_with_the_new_password_goes_on_at_once(
    tide: Tide, secured: SecuredKafka, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """The old one takes back what it could not send and signs off: its successor waits for no lease."""
    case = Case(
        tide=tide,
        secured=secured,
        strangers=secured.authority,
        way="SCRAM-SHA-512",
        name="orders",
        topic=f"test-{secrets.token_hex(6)}",
    )
    create_topic(secured.bootstrap, case.topic)
    case.grant()
    case.set_password(SCRAM_PASSWORD)
    tide.outbox("orders")
    case.set(case.printed)
    case.publish()
    relay = start_relay(tide.dsn, env=environment(secured))
    tide.until_settled("orders")
    case.change_password()
    case.publish()
    assert relay.terminate() == 0
    assert relay.lines("pipeline_released")
    assert not relay.lines("left_unanswered")
    assert case.pending() == WAITING
    start_relay(tide.dsn, env=environment(secured) | {"KAFKA_PASS": NEXT_PASSWORD})
    tide.until_settled("orders")
    arrived = ids(read_topic(case.topic, bootstrap=secured.bootstrap))
    assert difference(arrived, case.published) == ""
    case.set_password(SCRAM_PASSWORD)
