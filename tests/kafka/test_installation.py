"""A relay works on the installation that it was started for, and on no other."""

import pytest

from fix_kafka import ReadTopic
from fix_relay import StartRelay
from relay_kit import FAST, Tide, first_occurrences, ids

FOR_PROD = (*FAST, "--installation", "prod")


@pytest.mark.parametrize(
    ("name", "flags", "said"),
    [
        ("prod", (), "was started without --installation, and this database is installation 'prod'"),
        ("prod", ("--installation", "test"), "was started for installation 'test', and this database is"),
        (
            None,
            ("--installation", "test"),
            "was started for installation 'test', and this database has no name",
        ),
    ],
)
def test_a_relay_of_another_name_refuses_to_work(
    tide: Tide, topic: str, start_relay: StartRelay, name: str | None, flags: tuple[str, ...], said: str
) -> None:
    """With an exit code that no restart cures, and a sentence that says what does; nothing is sent or owned."""
    tide.outbox()
    tide.pipeline(topic)
    tide.publish()
    tide.value("select tide.installation_set(%s)", name)
    relay = start_relay(tide.dsn, *flags)
    assert relay.wait() == 78
    (line,) = relay.lines("relay can't run")
    assert said in line["cause"]
    assert "--installation 'prod'" in line["cure"] or "tide.installation_set('test')" in line["cure"]
    assert (tide.pending(), tide.cursor_row().owner) == (1, None)


def test_the_relay_of_the_name_delivers_from_its_first_try_on(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    tide.outbox()
    tide.pipeline(topic)
    tide.value("select tide.installation_set('prod')")
    published = tide.publish()
    relay = start_relay(tide.dsn, *FOR_PROD)
    tide.until_settled()
    assert ids(read_topic(topic, 1)) == [published]
    assert relay.terminate() == 0


def test_a_running_relay_stops_when_the_installation_gets_a_name_that_it_was_not_given(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """It settles nothing more, so what it had in its hands comes again; the relay of the new name goes on."""
    tide.outbox()
    tide.pipeline(topic, request_timeout_ms=1000)
    relay = start_relay(tide.dsn, *FAST)
    published = [tide.publish(key="k")]
    tide.until_settled()
    tide.value("select tide.installation_set('prod')")
    published.append(tide.publish(key="k"))
    assert relay.wait() == 78
    successor = start_relay(tide.dsn, *FOR_PROD)
    tide.until_settled()
    assert first_occurrences(ids(read_topic(topic, 2))) == published
    assert successor.terminate() == 0
