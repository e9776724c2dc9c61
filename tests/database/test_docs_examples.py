"""Every example of the pages runs as it is printed, in the order of the page, on PostgreSQL alone.

What needs Kafka is in tests/kafka.
"""

from pathlib import Path

import psycopg
import pytest

from docs_kit import ROOT, Block, blocks, roles_of, run_shell, run_sql, runnable
from pg_tide_dev.databases import Database

# No relay runs here, so the brokers that the pages name are never asked.
PLACES: dict[str, str] = {}
SETTING = """
select tide.outbox_create('orders');
select tide.relay_set_outbox('orders-to-kafka', 'orders', 'kafka-relay',
  '{"sink_type": "kafka", "brokers": "localhost:9092", "topic": "order-events"}');
select tide.outbox_publish('orders', jsonb_build_object('n', n)) from generate_series(1, 10) n;
"""

DELIVERED = """
select tide._cursor_settle_window(c.group_id, 0, c.owner_token, c.epoch, c.generation, c.timeline,
         pg_current_snapshot(), null, null, 0, null)
  from tide._cursor_acquire(1, 0, gen_random_uuid(), 'test', 60000, 0) c
"""


def run_page(page: str, database: Database, folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Run a page's SQL and shell examples; the rows that each SQL block ended with, by its text."""
    answers = {}
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for block in runnable(page, "sql", "sh"):
            if block.language == "sh":
                run_shell(block, database.dsn, folder, PLACES)
            else:
                answers[block.text] = run_sql(connection, block, PLACES)
    return answers


def messages(database: Database) -> list[tuple[object, ...]]:
    """What was published: op, key, dedup key, payload as jsonb, names of headers."""
    with database.connect(autocommit=True) as connection:
        return connection.execute(
            "select op, key, dedup_key, payload::jsonb, old_payload is not null,"
            " array(select jsonb_object_keys(headers::jsonb) order by 1) from tide.message order by id"
        ).fetchall()


def the_block(page: str, words: str) -> Block:
    """The one block of a page with these words in it."""
    (found,) = [block for block in blocks(page) if words in block.text]
    return found


def test_the_first_steps_run_as_printed(empty_database: Database, tmp_path: Path) -> None:
    page = "docs/getting-started.md"
    with roles_of(blocks(page), empty_database):
        answers = run_page(page, empty_database, tmp_path)
    assert len(answers) >= 10
    published = messages(empty_database)
    assert [(op, key, dedup_key) for op, key, dedup_key, *_ in published] == [
        ("insert", "ord-12345", "order.placed/ord-12345"),
        ("update", "ord-12345", None),
        ("insert", "a", None),
        ("insert", "b", None),
        ("insert", None, None),
        ("update", "ord-12345", None),
        ("delete", "ord-12345", None),
    ]
    *_, (_, _, _, payload, has_old, _) = published
    assert payload is None
    assert has_old
    assert published[4][5] == ["pg_tide_actor", "source", "traceparent"]


def test_the_page_of_dead_letters_runs_as_printed(database: Database, tmp_path: Path) -> None:
    with database.connect(autocommit=True) as connection:
        connection.execute(SETTING)
    assert len(run_page("docs/dead-letters.md", database, tmp_path)) >= 4


def test_the_page_of_replays_runs_as_printed(database: Database, tmp_path: Path) -> None:
    """As if a relay had delivered everything."""
    with database.connect(autocommit=True) as connection:
        connection.execute(SETTING)
        connection.execute(DELIVERED)
        assert len(run_page("docs/replay.md", database, tmp_path)) >= 3
        found = connection.execute(
            "select state, selected, to_topic from tide.replays order by 1, 2"
        ).fetchall()
    assert found == [("cancelled", 3, None), ("waiting", 4, None), ("waiting", 10, "order-events-again")]


def test_a_misspelt_key_is_answered_as_the_first_steps_show(empty_database: Database, tmp_path: Path) -> None:
    page = "docs/getting-started.md"
    block = the_block(page, "tide.relay_validate")
    with roles_of(blocks(page), empty_database):
        rows = run_page(page, empty_database, tmp_path)[block.text]
    found = {(path, severity) for path, severity, _ in rows}
    assert ("broker", "error") in found
    assert ("brokers", "error") in found


def test_a_role_with_the_grants_of_the_first_steps_publishes_and_no_other_does(
    empty_database: Database, tmp_path: Path
) -> None:
    page = "docs/getting-started.md"
    with roles_of(blocks(page), empty_database):
        for block in runnable(page, "sh", "sql")[:6]:
            if block.language == "sh":
                run_shell(block, empty_database.dsn, tmp_path, PLACES)
            else:
                with empty_database.connect(autocommit=True) as connection:
                    run_sql(connection, block, PLACES)
        with empty_database.connect(autocommit=True) as connection:
            connection.execute("set role shop")
            connection.execute("select tide.outbox_publish('orders', '{}')")
            connection.execute("set role watch")
            connection.execute("select * from tide.lag")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("select tide.outbox_publish('orders', '{}')")


def test_the_operators_examples_run_as_printed(database: Database, tmp_path: Path) -> None:
    with database.connect(autocommit=True) as connection:
        connection.execute(SETTING)
    answers = run_page("docs/operations.md", database, tmp_path)
    rewinds = next(rows for text, rows in answers.items() if "group_rewind" in text)
    assert rewinds == [(1,)]
    with database.connect(autocommit=True) as connection:
        gone = connection.execute("select to_regnamespace('tide') is null").fetchone()
    assert gone == (True,)


def test_the_consumers_tables_keep_the_newest_state_and_each_message_once(
    database: Database, tmp_path: Path
) -> None:
    page = "docs/consuming.md"
    run_page(page, database, tmp_path)
    again = the_block(page, "insert into order_state").text.split("\n\n", 1)[1]
    with database.connect(autocommit=True) as connection:
        connection.execute(again.replace("'confirmed', 17", "'new', 16").encode())
        assert connection.execute("select status, message_id from order_state").fetchall() == [
            ("confirmed", 17)
        ]
        connection.execute(again.replace("'confirmed', 17", "'sent', 18").encode())
        assert connection.execute("select status, message_id from order_state").fetchall() == [("sent", 18)]


def test_the_contracts_example_refuses_what_the_page_shows(database: Database, tmp_path: Path) -> None:
    page = "docs/contracts.md"
    refused = the_block(page, '"id": 0')
    (shown,) = [block.text for block in blocks(page) if block.text.startswith("ERROR:")]
    run_page(page, database, tmp_path)
    created = the_block(page, "outbox_create")
    with database.connect(autocommit=True) as connection:
        connection.execute(
            "select tide.outbox_drop('invoices', force => true) from tide.outbox_disable('invoices')"
        )
        run_sql(connection, created, PLACES)
        with pytest.raises(psycopg.DatabaseError) as caught:
            run_sql(connection, refused, PLACES)
    diag = caught.value.diag
    said = f"ERROR:  {diag.message_primary}\nDETAIL:  {diag.message_detail}\nHINT:  {diag.message_hint}\n"
    assert said == shown


def test_the_row_schemas_examples_show_what_they_say(database: Database, tmp_path: Path) -> None:
    """The error, the proposal, the versions that the page counts, and all types that there are."""
    page = "docs/row-schemas.md"
    refused = the_block(page, '"bigin"}, {')
    shown = next(block.text for block in blocks(page) if block.text.startswith("ERROR:"))
    answers = run_page(page, database, tmp_path)
    versions = next(rows for text, rows in answers.items() if "from tide.row_schemas" in text)
    assert [row[:3] for row in versions] == [
        (1, "declared", []),
        (2, "table", ["sales-changes"]),
        (3, "inferred", []),
    ]
    proposed = run_shell(the_block(page, "row-schema infer"), database.dsn, tmp_path, PLACES)
    cells = [line.split() for line in proposed.splitlines()]
    table = [line.split() for line in the_block(page, "example").text.splitlines() if "──" not in line]
    assert len(table) == 5
    assert [line for line in table if line not in cells] == []
    with database.connect(autocommit=True) as connection:
        with pytest.raises(psycopg.DatabaseError) as caught:
            run_sql(connection, refused, PLACES)
        types = [str(name) for (name,) in connection.execute("select unnest(tide._row_schema_types())")]
    assert (
        shown == f"ERROR:  {caught.value.diag.message_primary}\nDETAIL:  {caught.value.diag.message_detail}\n"
    )
    listed = (ROOT / page).read_text(encoding="utf-8").split("\nTypes are ")[1].split("\n\n")[0]
    assert {name for name in types if f"`{name}`" not in listed and not name.endswith("range")} == set()


@pytest.mark.parametrize(
    "page", ["docs/getting-started.md", "docs/operations.md", "docs/consuming.md", "docs/row-schemas.md"]
)
def test_a_block_that_is_not_run_says_why(page: str) -> None:
    assert all(block.language in {"sql", "sh", "python", "text", ""} for block in blocks(page))
    reasons = [block.not_run for block in blocks(page) if block.not_run is not None]
    assert all(len(reason.split()) > 3 for reason in reasons)
