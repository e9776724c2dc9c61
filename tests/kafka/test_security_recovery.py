"""How long it takes until everything is delivered once a right or a password is back: docs/reliability.md has it."""

import re
import secrets
import statistics
import time
from collections.abc import Callable

import pytest

from docs_kit import ROOT
from fix_relay import StartRelay
from fix_run import Progress
from pg_tide_dev.kafka import create_topic
from relay_kit import Tide
from secured_kafka import SecuredKafka
from secured_kit import NEXT_PASSWORD, SCRAM_PASSWORD, Case, NewCase, environment
from waiting import eventually

TIMES = 5
LONGEST_S = 45.0
"""The longest pause between two tries is 30 s; the rest is for a busy machine."""

_ROW = re.compile(r"^\| (.+?) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", re.MULTILINE)


def seconds_until(settled: Callable[[], object], cure: Callable[[], object]) -> float:
    began = time.monotonic()
    cure()
    eventually(settled, within=120)
    return time.monotonic() - began


def run_for(seconds: float) -> None:
    """An outage lasts: pauses between tries grow with it."""
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > until, within=seconds + 5)


def right_taken_back(outage_s: float) -> Callable[[Case], float]:
    def measure(case: Case) -> float:
        case.revoke()
        case.publish()
        case.tide.until_told("TOPIC_AUTHORIZATION_FAILED", case.name)
        run_for(outage_s)
        return seconds_until(lambda: case.pending() == 0, case.grant)

    return measure


def password_changed_back(case: Case) -> float:
    case.change_password()
    case.publish()
    return seconds_until(lambda: case.pending() == 0, lambda: case.set_password(SCRAM_PASSWORD))


def another_variable(case: Case) -> float:
    case.change_password()
    case.publish()
    following = case.printed | {"sasl_password": "${env:KAFKA_PASS_NEXT}"}
    return seconds_until(lambda: case.pending() == 0, lambda: case.set(following))


MEASURED: dict[str, Callable[[Case], float]] = {
    "a right is granted again after 2 s": right_taken_back(2),
    "a right is granted again after 20 s": right_taken_back(20),
    "the password is right again in the cluster": password_changed_back,
    "the configuration names the new password": another_variable,
}
RESTART = "the relay is started again with the new password"


def report(progress: Progress, what: str, taken: list[float]) -> None:
    low, middle, high = min(taken), statistics.median(taken), max(taken)
    progress(f"| {what} | {low:.1f} | {middle:.1f} | {high:.1f} |")
    assert high < LONGEST_S


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", list(MEASURED))
def test_delivery_is_back_soon_after_the_cure(new_case: NewCase, progress: Progress, what: str) -> None:
    """Messages wait meanwhile; measured from the cure to the last settled message."""
    taken = []
    for _ in range(TIMES):
        case = new_case("SCRAM-SHA-256")
        case.set(case.printed)
        case.publish()
        case.tide.until_settled(case.name)
        taken.append(MEASURED[what](case))
        case.tide.disable(case.name)
    report(progress, what, taken)


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_delivery_is_back_soon_after_a_restart(
    tide: Tide, secured: SecuredKafka, start_relay: StartRelay, progress: Progress
) -> None:
    """From SIGTERM to the last settled message; the relay has the lease and the timeouts that it has by default."""
    case = Case(
        tide=tide,
        secured=secured,
        strangers=secured.authority,
        way="SCRAM-SHA-256",
        name="orders",
        topic=f"test-{secrets.token_hex(6)}",
    )
    create_topic(secured.bootstrap, case.topic)
    case.grant()
    tide.outbox("orders")
    case.set(case.printed)
    taken = []
    passwords = [SCRAM_PASSWORD, NEXT_PASSWORD]
    case.set_password(SCRAM_PASSWORD)
    relay = start_relay(tide.dsn, env=environment(secured))
    for _ in range(TIMES):
        case.publish()
        tide.until_settled("orders")
        passwords.reverse()
        case.set_password(passwords[0])
        tide.until_state("error", "orders")
        case.publish()
        began = time.monotonic()
        relay.terminate()
        relay = start_relay(tide.dsn, env=environment(secured) | {"KAFKA_PASS": passwords[0]})
        tide.until_settled("orders")
        taken.append(time.monotonic() - began)
    report(progress, RESTART, taken)


def test_the_page_has_a_figure_for_each() -> None:
    """Smallest, middle and largest, in this order."""
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    figures = {what: [float(one) for one in numbers] for what, *numbers in _ROW.findall(page)}
    for what in (*MEASURED, RESTART):
        assert figures[what] == sorted(figures[what])
