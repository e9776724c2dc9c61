"""What `pg-tide preview` shows of each message, and what it says when it can't."""

import json
from pathlib import Path
from typing import Any

import pytest

from database.previewing import CONFIG, PIPELINE, configure, ids, messages, preview, published
from database.reading import Scene

pytestmark = pytest.mark.usefixtures("quiet_logs")


def written(folder: Path, **keys: Any) -> str:
    """A file with the configuration to try."""
    path = folder / "tried.json"
    path.write_text(json.dumps(CONFIG | keys), encoding="utf-8")
    return str(path)


def test_each_message_is_shown_with_what_becomes_of_it(scene: Scene) -> None:
    """The one in error does not hide those behind it; its error is the one that the pipeline's state would show."""
    configure(
        scene,
        transform={"filter": "abs(n) > `1`", "payload": "{twice: n, by: _message.key}"},
        message_key="n-{payload.n}",
        headers={"team": "shop"},
    )
    published(scene, {"n": 1}, {"n": "x"})
    scene.session().publish({"n": 2.50}, key="k")
    filtered, wrong, sent = messages(scene, exit_code=1)
    assert (filtered["outcome"], filtered["record"], filtered["error"]) == ("filtered", None, None)
    assert filtered["payload"] == '{"n": 1}'
    assert (wrong["outcome"], wrong["record"]) == ("error", None)
    assert wrong["error"].startswith("transform.filter failed: ")
    assert (sent["outcome"], sent["error"], sent["key"], sent["op"]) == ("sent", None, "k", "insert")
    record = sent["record"]
    assert record["value"] == '{"twice":2.5,"by":"k"}'
    assert record["value_bytes"] == len(record["value"])
    assert (record["topic"], record["key"]) == ("order-events", "n-2.5")
    headers = {header["name"]: header["value"] for header in record["headers"]}
    assert headers.pop("pg_tide_ts").isdigit()
    assert headers == {
        "pg_tide_outbox": "orders",
        "pg_tide_op": "insert",
        "pg_tide_id": str(sent["id"]),
        "team": "shop",
    }


def test_json_has_payload_and_value_whole_and_exact(scene: Scene) -> None:
    """As PostgreSQL shows the jsonb, numbers with every digit; the time is that of the row."""
    big = '{"n": 1.10, "big": 9007199254740993, "text": "' + "ä\\u0001" * 2000 + '"}'
    session = scene.session()
    publish = (
        "select tide.outbox_publish('orders', %s::jsonb, dedup_key => 'd', op => 'update', key => 'ключ',"
        ' old_payload => \'{"old": 1}\', headers => \'{"own": "h"}\')'
    )
    session.run(publish, [big])
    (message,) = messages(scene)
    shown_time = "to_char(created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    ((payload, created_at),) = session.run(f"select payload, {shown_time} from {scene.table}")
    assert message["payload"] == message["record"]["value"] == payload
    assert message["record"]["value_bytes"] == len(payload.encode())
    assert message["created_at"] == created_at
    assert (message["key"], message["dedup_key"], message["op"]) == ("ключ", "d", "update")
    assert message["old_payload"] == '{"old": 1}'
    assert {"name": "own", "value": "h"} in message["record"]["headers"]


def test_the_table_shortens_long_texts_and_says_how_long_they_are(scene: Scene) -> None:
    """And nothing in a message reaches the terminal as a command."""
    session = scene.session()
    session.publish({"text": "x" * 5000}, key="\x1b[31mred\n")
    result = preview(scene)
    assert result.exit_code == 0
    assert "x" * 1000 not in result.stdout
    assert result.stdout.count("… (5,012 bytes)") == 2
    assert "\\x1b[31mred\\n" in result.stdout
    assert "\x1b" not in result.stdout
    for line in (
        "op           insert",
        "dedup key    (none)",
        "outcome      sent",
        "topic        t",
    ):
        assert f"  {line}\n" in result.stdout
    assert "header       pg_tide_outbox: orders\n" in result.stdout
    assert result.stdout.endswith("Messages: 1; 1 would be sent, 0 filtered, 0 in error.\n")


def test_a_delete_without_payload_shows_what_the_relay_would_send(scene: Scene) -> None:
    publish = "select tide.outbox_publish('orders', null, op => 'delete', key => 'k')"
    scene.session().run(publish)
    (message,) = messages(scene)
    assert (message["op"], message["payload"], message["record"]["value"]) == ("delete", None, "null")


def test_nothing_waiting_is_said_and_is_no_failure(scene: Scene) -> None:
    result = preview(scene)
    assert result.exit_code == 0
    assert f"Pipeline {PIPELINE}, outbox orders, group g: no message is waiting." in result.stdout
    assert ids(scene) == []
    (published_id,) = published(scene, {})
    beyond = preview(scene, "--from", str(published_id + 1))
    assert beyond.exit_code == 0
    assert f"the outbox holds no message with id {published_id + 1} or a later one" in beyond.stdout


# -- another configuration --


def test_a_configuration_from_a_file_is_tried_on_the_waiting_messages(scene: Scene, tmp_path: Path) -> None:
    """In place of the stored one, which stays as it is."""
    configure(scene, transform={"filter": "n > `1`"})
    published(scene, {"n": 1}, {"n": 2})
    tried = written(tmp_path, topic="to-{payload.n}", transform={"payload": "n"})
    shown = messages(scene, "--config", tried)
    assert [(m["record"]["topic"], m["record"]["value"]) for m in shown] == [("to-1", "1"), ("to-2", "2")]
    from_stdin = messages(scene, "--config", "-", stdin=Path(tried).read_text(encoding="utf-8"))
    assert from_stdin == shown
    assert [message["outcome"] for message in messages(scene)] == ["filtered", "sent"]


def test_all_that_is_wrong_with_a_configuration_is_told_at_once(scene: Scene, tmp_path: Path) -> None:
    """Keys and expressions alike, and none of the messages is shown."""
    published(scene, {})
    tried = written(tmp_path, acks="2", topick="x", transform={"filter": "n >", "payload": "nosuch(a)"})
    result = preview(scene, "--config", tried)
    assert (result.exit_code, result.stdout) == (78, "")
    for path in ("acks: ", "topick: ", "transform.filter: ", "transform.payload: "):
        assert f"\n  {path}" in result.stderr


def test_a_stored_expression_that_does_not_compile_is_told(scene: Scene) -> None:
    """SQL can't tell."""
    configure(scene, transform={"filter": "n >"})
    published(scene, {})
    result = preview(scene)
    assert result.exit_code == 78
    assert f"the configuration of pipeline '{PIPELINE}' can't be used:\n  transform.filter: " in result.stderr


def test_warnings_of_a_configuration_do_not_stop_it(scene: Scene, tmp_path: Path) -> None:
    published(scene, {})
    tried = written(tmp_path, acks="1")
    result = preview(scene, "--config", tried, "-o", "json")
    assert result.exit_code == 0
    assert f"{tried}: warning: acks: " in result.stderr
    assert len(json.loads(result.stdout)["messages"]) == 1


# -- references to the environment --


def test_no_secret_and_no_address_is_needed(scene: Scene) -> None:
    """Their variables are set for the relay only; not even permission to read them is asked for."""
    configure(
        scene,
        brokers="${env:KAFKA_BROKERS}",
        sasl_mechanism="PLAIN",
        sasl_username="${env:SHOP_USER}",
        sasl_password="${env:KAFKA_PASSWORD}",
        tls_enabled=True,
        tls_ca_cert="${env:KAFKA_CA}",
    )
    published(scene, {})
    (message,) = messages(scene)
    assert message["outcome"] == "sent"


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("topic", {"topic": "${env:TIDE_PLACE}"}),
        ("message_key", {"message_key": "${env:TIDE_PLACE}"}),
        ("headers.place", {"headers": {"place": "${env:TIDE_PLACE}"}}),
        ("transform.filter", {"transform": {"filter": "${env:TIDE_PLACE}"}}),
        ("routing.rules[0].topic", {"routing": {"rules": [{"when": "n", "topic": "${env:TIDE_PLACE}"}]}}),
    ],
)
def test_a_variable_that_records_depend_on_is_looked_up_here(
    scene: Scene, path: str, keys: dict[str, Any]
) -> None:
    """And named, with its place, when it is not set."""
    configure(scene, **keys)
    published(scene, {"n": 1, "north": 1})
    result = preview(scene)
    assert (result.exit_code, result.stdout) == (78, "")
    assert f"\n  {path}: the environment variable TIDE_PLACE is not set here" in result.stderr
    (message,) = messages(scene, TIDE_PLACE="north")
    assert message["outcome"] == "sent"
    assert "north" in json.dumps(message["record"]) or path == "transform.filter"


def test_a_variable_of_another_name_needs_the_relays_flag(scene: Scene) -> None:
    configure(scene, topic="${env:SHOP_TOPIC}")
    published(scene, {})
    refused = preview(scene, SHOP_TOPIC="shop")
    assert refused.exit_code == 78
    assert "SHOP_TOPIC may not be read by a pipeline's configuration" in refused.stderr
    assert "--allow-env SHOP_TOPIC" in refused.stderr
    (message,) = messages(scene, "--allow-env", "SHOP_*", SHOP_TOPIC="shop")
    assert message["record"]["topic"] == "shop"


# -- what can't be asked for --


def test_an_unknown_pipeline_is_wrong_usage_and_answered_with_the_nearest_name(scene: Scene) -> None:
    result = preview(scene, pipeline="order to g")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "pipeline 'order to g' does not exist" in result.stderr
    assert f"did you mean '{PIPELINE}'?" in result.stderr


def test_an_unknown_pipeline_far_from_all_is_answered_with_those_that_exist(scene: Scene) -> None:
    scene.add_group("h")
    result = preview(scene, pipeline="invoices")
    assert result.exit_code == 2
    assert "What to do: there are orders to g, orders to h" in result.stderr


@pytest.mark.parametrize("arguments", [("--limit", "0"), ("--limit", "1001"), ("--from", "-1")])
def test_a_number_out_of_range_is_wrong_usage(scene: Scene, arguments: tuple[str, str]) -> None:
    assert preview(scene, *arguments).exit_code == 2
