"""Row schemas from the command line, and what pipelines that name one show in `pg-tide preview`."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from database.previewing import CONFIG, PIPELINE, configure, messages, preview, published
from database.reading import Scene
from fix_sql import Logins
from pg_tide_dev.databases import Database
from pg_tide_relay import cli

pytestmark = pytest.mark.usefixtures("quiet_logs")

ROWS = (
    {"id": 1, "total": 10.25, "at": "2024-02-29T12:00:00.5+00:00", "note": None, "lines": [{"sku": "A"}]},
    {"id": 20, "total": 7, "at": "2024-03-01T12:00:00+00:00", "note": "it's", "lines": []},
)
COLUMNS = [
    {"name": "at", "type": "timestamptz"},
    {"name": "id", "type": "bigint"},
    {"name": "note", "type": "text"},
    {"name": "lines", "type": "jsonb"},
    {"name": "total", "type": "numeric"},
]


def row_schema(scene: Scene, *arguments: str, dsn: str = "") -> Result:
    """Call the command; it ends in words, whatever happens."""
    called = ["row-schema", *arguments, "--postgres-url", dsn or scene.dsn]
    result = CliRunner().invoke(cli.build(), called)
    assert "Traceback" not in result.output, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def stored(scene: Scene) -> list[tuple[Any, ...]]:
    """Version, columns and origin."""
    return scene.admin.run("select version, columns, origin from tide.row_schemas order by version")


def typed(scene: Scene, version: int) -> None:
    """Let the pipeline send change events of a stored row schema."""
    configure(
        scene,
        wire_format="debezium",
        wire_config={"row_schema": version, "decimal_handling_mode": "string", "schemas_enable": True},
    )


# -- infer --


def test_infer_shows_the_columns_and_stores_nothing(scene: Scene) -> None:
    published(scene, *ROWS)
    result = row_schema(scene, "infer", "orders")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [
        "at",
        "timestamptz",
        "2",
        "0",
        "2024-02-29T12:00:00.5+00:00",
        "every",
        "value",
        "is",
        "one",
    ] in lines
    assert ["note", "text", "2", "1", "it's", "strings"] in lines
    assert "Nothing was stored." in result.stdout
    assert stored(scene) == []


def test_the_statement_that_infer_prints_stores_what_it_shows(scene: Scene) -> None:
    """Ready to be pasted, whatever stands in the names."""
    published(scene, {'it\'s "x" \\ ü': 1})
    printed = row_schema(scene, "infer", "orders").stdout
    scene.admin.run(printed[printed.index("select tide.row_schema_set") :])
    assert stored(scene) == [(1, [{"name": 'it\'s "x" \\ ü', "type": "bigint"}], "inferred")]


def test_nothing_that_a_message_holds_reaches_the_terminal_as_a_command(scene: Scene) -> None:
    published(scene, {"a\x1b[2J\x9b": "b\x1b[2J\x9b"})
    printed = row_schema(scene, "infer", "orders").stdout
    assert not {"\x1b", "\x9b"} & set(printed)
    assert "b\\x1b[2J\\x9b" in printed
    scene.admin.run(printed[printed.index("select tide.row_schema_set") :])
    assert stored(scene) == [(1, [{"name": "a\x1b[2J\x9b", "type": "text"}], "inferred")]
    assert "a\\x1b[2J\\x9b text" in row_schema(scene, "show", "orders").stdout


def test_infer_with_set_stores_once(scene: Scene) -> None:
    """The same columns again are the same version."""
    published(scene, *ROWS)
    for _ in range(2):
        result = row_schema(scene, "infer", "orders", "--set")
        assert result.exit_code == 0
        assert (
            'Stored for outbox orders: version 1. A pipeline uses it by "wire_config": {"row_schema": 1}'
            in (result.stdout)
        )
    assert stored(scene) == [(1, COLUMNS, "inferred")]


def test_infer_as_json(scene: Scene) -> None:
    published(scene, *ROWS, {"id": "x"})
    result = row_schema(scene, "infer", "orders", "-o", "json")
    answer = json.loads(result.stdout)
    assert (answer["outbox"], answer["version"]) == ("orders", None)
    assert [column["type"] for column in answer["columns"] if column["name"] == "id"] == ["jsonb"]
    assert answer["row_schema"][1] == {"name": "id", "type": "jsonb"}
    answer = json.loads(row_schema(scene, "infer", "orders", "--messages", "1", "--set", "-o", "json").stdout)
    assert (answer["version"], answer["row_schema"]) == (1, [{"name": "id", "type": "text"}])
    assert set(answer["columns"][0]) == {"name", "type", "seen", "nulls", "example", "reason"}


def test_infer_tells_of_payloads_that_are_no_rows(scene: Scene) -> None:
    published(scene, 1, {"id": 1})
    result = row_schema(scene, "infer", "orders", "-o", "json")
    assert json.loads(result.stdout)["row_schema"] == [{"name": "id", "type": "bigint"}]
    assert result.stderr.startswith("1 payloads are no objects and were left out. A format")


def test_infer_says_why_it_can_not(scene: Scene) -> None:
    """Nothing to infer from, an outbox that does not exist."""
    empty = row_schema(scene, "infer", "orders", "--set")
    assert (empty.exit_code, "(SQLSTATE TD027)" in empty.stderr) == (1, True)
    assert "What to do: Declare one: select tide.row_schema_set('orders'" in empty.stderr
    unknown = row_schema(scene, "infer", "order")
    assert (unknown.exit_code, "Did you mean 'orders'?" in unknown.stderr) == (1, True)


def test_infer_wants_an_administrators_rights_and_show_a_monitors(database: Database, logins: Logins) -> None:
    """What is missing is said with the kind of role that has it."""
    with Scene(database.dsn) as scene:
        published(scene, {"id": 1})
        roles = {kind: logins.create() for kind in ("admin", "relay", "monitor", "nobody")}
        codes = {}
        for kind, role in roles.items():
            if kind != "nobody":
                scene.admin.run("select tide.role_grant(%s, %s)", [kind, role])
            dsn = psycopg.conninfo.make_conninfo(scene.dsn, user=role, password=role)
            called = [row_schema(scene, *c, "orders", dsn=dsn) for c in (["infer", "--set"], ["show"])]
            codes[kind] = [result.exit_code for result in called]
            if kind == "nobody":
                assert [
                    result.stderr.splitlines()[-1].split("give them to this one: ")[1] for result in called
                ] == [
                    "select tide.role_grant('admin', '<role>');",
                    "select tide.role_grant('monitor', '<role>');",
                ]
        assert codes == {"admin": [0, 0], "relay": [1, 0], "monitor": [1, 0], "nobody": [1, 1]}


# -- show --


def test_show_lists_the_versions_and_who_uses_them(scene: Scene) -> None:
    scene.admin.run("select tide.row_schema_set('orders', %s)", [json.dumps(COLUMNS)])
    scene.admin.run(
        "select tide.row_schema_set('orders', %s, origin => 'table', comment => 'since May')",
        [json.dumps(COLUMNS[:2])],
    )
    typed(scene, 2)
    table = row_schema(scene, "show", "orders").stdout
    assert "at timestamptz, id bigint, note text, lines jsonb, total numeric" in table
    first, second = json.loads(row_schema(scene, "show", "orders", "-o", "json").stdout)["row_schemas"]
    assert (first["version"], first["columns"], first["origin"], first["pipelines"]) == (
        1,
        COLUMNS,
        "declared",
        [],
    )
    assert (second["origin"], second["comment"], second["pipelines"]) == ("table", "since May", [PIPELINE])


def test_show_of_an_outbox_without_any_and_of_none_at_all(scene: Scene) -> None:
    none = row_schema(scene, "show", "orders")
    assert (none.exit_code, none.stdout) == (0, "Row schemas of outbox orders: none\n")
    unknown = row_schema(scene, "show", "order")
    assert (unknown.exit_code, "did you mean 'orders'?" in unknown.stderr) == (2, True)
    assert "What to do: tide.outboxes lists" in row_schema(scene, "show", "x").stderr


# -- pipelines --


def test_what_fits_the_inferred_row_schema_is_sent_and_what_does_not_is_in_error(scene: Scene) -> None:
    """From the first message to the schema in the record, without a word about versions."""
    published(scene, *ROWS)
    assert row_schema(scene, "infer", "orders", "--set").exit_code == 0
    typed(scene, 1)
    published(scene, {"id": 21.5}, {"id": 22, "more": 1}, {"id": 23})
    *fitting, fraction, more, missing = messages(scene, exit_code=1)
    values = [json.loads(message["record"]["value"]) for message in (*fitting, missing)]
    fields = {field["field"]: field for field in values[0]["schema"]["fields"]}
    assert [(f["field"], f["type"]) for f in fields["after"]["fields"]] == [
        ("at", "string"),
        ("id", "int64"),
        ("note", "string"),
        ("lines", "string"),
        ("total", "string"),
    ]
    assert [value["payload"]["after"] for value in values] == [
        {
            "at": "2024-02-29T12:00:00.500000Z",
            "id": 1,
            "note": None,
            "lines": '[{"sku": "A"}]',
            "total": "10.25",
        },
        {"at": "2024-03-01T12:00:00.000000Z", "id": 20, "note": "it's", "lines": "[]", "total": "7"},
        {"at": None, "id": 23, "note": None, "lines": None, "total": None},
    ]
    assert "does not fit the row schema: column 'id': expected a bigint" in fraction["error"]
    assert "the row schema has no column 'more'" in more["error"]


def test_a_configuration_to_try_may_name_a_version(scene: Scene, tmp_path: Path) -> None:
    """One that does not exist is refused with those that do; what is no version is left to the rules."""
    published(scene, {"id": 1})
    row_schema(scene, "infer", "orders", "--set")
    file = tmp_path / "tried.json"

    def tried(row_schema: Any) -> Result:
        keys = {"wire_format": "debezium", "wire_config": {"row_schema": row_schema, "schemas_enable": True}}
        file.write_text(json.dumps(CONFIG | keys), encoding="utf-8")
        return preview(scene, "--config", str(file), "-o", "json")

    ((message,),) = [json.loads(tried(1).stdout)["messages"]]
    assert '"type":"int64","optional":true,"field":"id"' in message["record"]["value"]
    unknown = tried(7)
    assert (unknown.exit_code, unknown.stdout) == (78, "")
    assert "outbox 'orders' has no row schema of version 7" in unknown.stderr
    assert "What to do: Its versions are: 1; see tide.row_schemas." in unknown.stderr
    for no_version in (0, -1, True, "1", 1.5, 2**31):
        assert (refused := tried(no_version)).exit_code == 78
        assert "wire_config.row_schema" in refused.stderr
    file.write_text("null", encoding="utf-8")
    assert preview(scene, "--config", str(file)).exit_code == 78


def test_validate_judges_the_columns_that_a_version_stands_for(scene: Scene) -> None:
    """What this release of the relay does not know is told before a relay says it."""
    published(scene, {"id": 1})
    row_schema(scene, "infer", "orders", "--set")
    typed(scene, 1)
    validate = ["validate", "--postgres-url", scene.dsn]
    assert CliRunner().invoke(cli.build(), validate).exit_code == 0
    scene.admin.run("""update tide.row_schema set columns = '[{"name": "id", "type": "serial"}]'""")
    result = CliRunner().invoke(cli.build(), validate)
    assert result.exit_code == 78
    assert "wire_config.row_schema: column 'id': 'serial' is no type" in result.stdout
