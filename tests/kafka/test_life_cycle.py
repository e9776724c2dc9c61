"""Pipelines come, change and go while a relay runs; the others notice nothing."""

import json
import time
from collections.abc import Callable

import pytest
from psycopg.types.json import Jsonb

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from relay_kit import Tide, difference, ids
from waiting import eventually, for_all_of

BYSTANDER = "bystander"


def seconds_until(condition: Callable[[], object]) -> float:
    """How long it takes until something holds."""
    since = time.monotonic()
    eventually(condition)
    return time.monotonic() - since


def test_pipelines_are_picked_up_within_a_second_while_others_run(
    tide: Tide, topic: str, start_relay: StartRelay
) -> None:
    """New, changed, disabled, enabled and dropped; the best of three rounds counts, the machine may be busy."""
    tide.outbox()
    tide.pipeline(topic, name=BYSTANDER)
    relay = start_relay(tide.dsn)
    tide.until_settled(BYSTANDER)
    relay.wait_for("pipeline_acquired", pipeline=BYSTANDER)
    seconds: dict[str, list[float]] = {}

    def round_of(name: str, number: int) -> None:
        def note(what: str, condition: Callable[[], object]) -> None:
            seconds.setdefault(what, []).append(seconds_until(condition))

        def is_running() -> bool:
            row = tide.pipeline_row(name)
            return bool(row.owner and row.state == "running" and row.running_version == row.version)

        def is_released() -> bool:
            return bool(
                tide.value("select owner_token is null from tide.cursor where group_id = %s", group_id)
            )

        tide.pipeline(topic, name=name)
        note("new", is_running)
        group_id = tide.cursor_row(name).group_id
        tide.pipeline(topic, name=name, linger_ms=number)
        note("changed", is_running)
        tide.disable(name)
        note("disabled", is_released)
        tide.enable(name)
        note("enabled", is_running)
        tide.value("select tide.relay_drop(%s)", name)
        note("dropped", is_released)

    for number in range(3):
        round_of(f"comes-and-goes-{number}", number)
    assert {what: best for what, found in seconds.items() if (best := min(found)) > 1.0} == {}
    assert len(relay.lines("pipeline_acquired", pipeline=BYSTANDER)) == 1
    tide.publish()
    tide.until_settled(BYSTANDER)


def test_changes_of_a_running_pipeline_lose_and_repeat_nothing(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Six changes under way, messages of one key all the time: each is on the topic once, in order."""
    tide.outbox()
    tide.pipeline(topic)
    relay = start_relay(tide.dsn)
    relay.wait_for("pipeline_acquired")
    published = []
    for change in range(6):
        published += tide.publish_many(200, key="one")
        version = tide.value(
            "select tide.relay_set_outbox('orders-to-kafka', 'orders', 'orders-to-kafka', %s)",
            Jsonb({"sink_type": "kafka", "brokers": tide.bootstrap, "topic": topic, "linger_ms": change}),
        )
        published += tide.publish_many(200, key="one")
        eventually(lambda version=version: tide.pipeline_row().running_version == version)
    tide.until_settled()
    assert difference(ids(read_topic(topic, len(published))), published) == ""


def test_a_change_of_topic_applies_to_what_is_not_sent_yet(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """What was delivered stays where it is; the same call again changes nothing, not even the owner."""
    before, after = make_topic(), make_topic()
    tide.outbox()
    tide.pipeline(before)
    relay = start_relay(tide.dsn)
    first = tide.publish_many(10, key="one")
    tide.until_settled()
    tide.pipeline(after)
    eventually(lambda: tide.pipeline_row().running_version == 2)
    second = tide.publish_many(10, key="one")
    assert ids(read_topic(after, 10)) == second
    assert ids(read_topic(before)) == first
    version = tide.pipeline_row().version
    tide.pipeline(after)
    assert tide.pipeline_row().version == version
    tide.until_settled()
    assert len(relay.lines("pipeline_acquired")) == 2


def test_a_disabled_pipeline_sends_nothing_and_goes_on_where_it_stopped(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    tide.outbox()
    tide.pipeline(topic)
    relay = start_relay(tide.dsn)
    published = tide.publish_many(10, key="one")
    tide.until_settled()
    tide.disable()
    relay.wait_for("pipeline_released")
    published += tide.publish_many(10, key="one")
    for_all_of(0.5, lambda: tide.pending() == 10)
    assert len(read_topic(topic)) == 10
    tide.enable()
    tide.until_settled()
    assert difference(ids(read_topic(topic, 20)), published) == ""


def test_a_dropped_pipelines_group_keeps_its_place_for_the_next(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    tide.outbox()
    tide.pipeline(topic, name="first", group="g")
    start_relay(tide.dsn)
    published = tide.publish_many(5, key="one")
    tide.until_settled("first")
    tide.value("select tide.relay_drop('first')")
    published += tide.publish_many(5, key="one")
    tide.pipeline(topic, name="second", group="g")
    tide.until_settled("second")
    assert difference(ids(read_topic(topic, 10)), published) == ""


def test_only_the_pipelines_that_the_relay_is_told_to_run_are_run(
    tide: Tide, topic: str, start_relay: StartRelay
) -> None:
    tide.outbox()
    tide.pipeline(topic, name="mine")
    tide.pipeline(topic, name="not-mine")
    tide.publish()
    relay = start_relay(tide.dsn, "--pipeline", "mine")
    tide.until_settled("mine")
    tide.pipeline(topic, name="not-mine", linger_ms=1)
    for_all_of(1.0, lambda: tide.pipeline_row("not-mine").state == "waiting")
    assert relay.lines("pipeline_acquired", pipeline="not-mine") == []


# -- the relay's environment ------------------------------------------------------------------------------


def test_references_are_resolved_in_the_relays_environment(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Any string may hold one, or several; the stored configuration keeps the reference."""
    tide.outbox()
    keys = {"brokers": "${env:KAFKA_BROKERS}", "headers": {"where": "${env:TIDE_SITE}/${env:TIDE_RACK}"}}
    tide.pipeline(topic, **keys)
    tide.publish()
    environment = {"KAFKA_BROKERS": tide.bootstrap, "TIDE_SITE": "a b=c", "TIDE_RACK": "${env:HOME}"}
    start_relay(tide.dsn, env=environment)
    (record,) = read_topic(topic, 1)
    assert dict(record.headers())["where"] == b"a b=c/${env:HOME}"
    assert tide.pipeline_row().config["brokers"] == "${env:KAFKA_BROKERS}"


@pytest.mark.parametrize("name", ["KAFKA_NOT_SET", "HOME_OF_SECRETS"])
def test_an_unset_or_not_allowed_variable_is_that_pipelines_error_and_nobody_elses(
    tide: Tide, topic: str, start_relay: StartRelay, name: str
) -> None:
    """The state names the variable and says what to do; the value of a variable that isn't allowed is not shown."""
    tide.outbox()
    tide.pipeline(topic, name="broken", headers={"h": f"${{env:{name}}}"})
    tide.pipeline(topic, name=BYSTANDER)
    tide.publish()
    relay = start_relay(tide.dsn, env={"HOME_OF_SECRETS": "the-secret-itself"})
    tide.until_settled(BYSTANDER)
    row = tide.until_state("error", "broken")
    assert name in row.error
    assert "headers.h" in row.error
    assert row.cure
    assert (row.error_class, row.error_code, row.owner) == ("configuration", "TD020", None)
    assert tide.pending("broken") == 1
    assert tide.pipeline_row(BYSTANDER).state == "running"
    assert "the-secret-itself" not in json.dumps(relay.lines()) + str(row)
    tide.pipeline(topic, name="broken")
    tide.until_settled("broken")
    assert tide.pipeline_row("broken").error is None


def test_allow_env_lets_pipelines_refer_to_more(tide: Tide, topic: str, start_relay: StartRelay) -> None:
    """Beside what is allowed anyway; patterns, several of them."""
    tide.outbox()
    references = "${env:APP_REGION} ${env:STAGE} ${env:KAFKA_X}"
    tide.pipeline(topic, headers={"h": references})
    tide.publish()
    environment = {"APP_REGION": "eu", "STAGE": "test", "KAFKA_X": "x"}
    start_relay(tide.dsn, "--allow-env", "APP_*", "--allow-env", "STAGE", env=environment)
    tide.until_settled()


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"sink_type": "nats"}, "sink_type"),
        ({"topic": "no topic!"}, "topic"),
        ({"unknown_key": 1}, "unknown_key"),
    ],
)
def test_a_stored_configuration_that_is_invalid_stops_its_pipeline_alone(
    tide: Tide, topic: str, start_relay: StartRelay, config: dict[str, object], named: str
) -> None:
    """Written past the validation, as an older release might have left it."""
    tide.outbox()
    tide.pipeline(topic, name="broken")
    tide.pipeline(topic, name=BYSTANDER)
    tide.connection.execute(
        "update tide.pipeline set config = config || %s, version = version + 1 where name = 'broken'",
        [Jsonb(config)],
    )
    tide.publish()
    start_relay(tide.dsn)
    tide.until_settled(BYSTANDER)
    row = tide.until_state("error", "broken")
    assert named in row.error
    assert tide.pending("broken") == 1


def test_an_outbox_whose_name_makes_no_topic_stops_its_pipeline_alone(
    tide: Tide, topic: str, start_relay: StartRelay
) -> None:
    """Only the relay knows: the template is legal, what comes of it is not."""
    tide.outbox("café orders")
    tide.pipeline("events.{stream_table}", name="broken", outbox="café orders")
    tide.outbox()
    tide.pipeline(topic, name=BYSTANDER)
    tide.publish()
    start_relay(tide.dsn)
    tide.until_settled(BYSTANDER)
    assert "events.café orders" in tide.until_state("error", "broken").error
