"""`pg-tide preview` as an operator calls it, on a scene's outbox."""

import json
from collections.abc import Callable
from typing import Any

from typer.testing import CliRunner, Result

from database.reading import Scene
from pg_tide_relay import cli

PIPELINE = "orders to g"
"""The name that a scene gives to the pipeline of its first group."""
CONFIG: dict[str, Any] = {"sink_type": "kafka", "brokers": "localhost:9092", "topic": "order-events"}


def configure(scene: Scene, **keys: Any) -> None:
    """Change the scene's pipeline; its group stays where it is."""
    values = [PIPELINE, scene.outbox, scene.group, json.dumps(CONFIG | keys)]
    scene.admin.run("select tide.relay_set_outbox(%s, %s, %s, %s::jsonb)", values)


def published(scene: Scene, *payloads: Any) -> list[int]:
    """Messages, each in a transaction of its own; their ids."""
    session = scene.session()
    return [session.publish(payload) for payload in payloads]


def preview(
    scene: Scene, *arguments: str, dsn: str = "", pipeline: str = PIPELINE, stdin: str = "", **env: str
) -> Result:
    """Call the command; it ends in words, whatever happens."""
    return call(dsn or scene.dsn, pipeline, *arguments, stdin=stdin, **env)


def call(dsn: str, pipeline: str, *arguments: str, stdin: str = "", **env: str) -> Result:
    """The same on any database."""
    called = ["preview", pipeline, "--postgres-url", dsn, *arguments]
    result = CliRunner().invoke(cli.build(), called, env=env, input=stdin or None)
    assert "Traceback" not in result.output, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def messages(scene: Scene, *arguments: str, exit_code: int = 0, **named: Any) -> list[dict[str, Any]]:
    """The messages of its JSON."""
    result = preview(scene, *arguments, "-o", "json", **named)
    assert result.exit_code == exit_code, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)["messages"]
    return found


def ids(scene: Scene, *arguments: str, **named: Any) -> list[int]:
    """The ids of the messages that it shows."""
    return [message["id"] for message in messages(scene, *arguments, **named)]


def state(scene: Scene) -> tuple[Any, ...]:
    """The cursor's row with the transaction that wrote it, and everything else that a relay writes."""
    (row,) = scene.admin.run(
        "select to_jsonb(c), c.xmin::text, c.xmax::text, c.ctid::text, (select count(*) from tide.relay),"
        " (select count(*) from tide.pipeline_state) from tide.cursor c where c.group_id = %s",
        [scene.group_id],
    )
    return row


def takes_no_xid(scene: Scene, action: Callable[[], object], attempts: int = 10) -> bool:
    """Whether the counter stood still at least once: others, such as autovacuum, move it now and then."""
    for _ in range(attempts):
        before = scene.snapshot().split(":")[1]
        action()
        if scene.snapshot().split(":")[1] == before:
            return True
    return False
