"""The publish patterns of docs/ordering.md, run as printed there, by two sessions that get in each other's way."""

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from database.reading import Scene, Session
from pg_tide_dev.databases import Database
from pg_tide_dev.processes import attempts

PAGE = (Path(__file__).parents[2] / "docs" / "ordering.md").read_text(encoding="utf-8")
KEEPS, DOES_NOT = "Keeps order", "Does not keep order"


def patterns(section: str) -> dict[str, str]:
    """The SQL of each pattern of a section, by its heading."""
    (text,) = re.findall(rf"^## {section}$(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE)
    return dict(re.findall(r"^### (.*?)$.*?^```sql\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


def statements(sql: str) -> list[str]:
    """The statements of a block; a semicolon at the end of a line ends one, except inside $$."""
    found, quoted = [""], False
    for line in sql.splitlines():
        quoted ^= line.count("$$") % 2 == 1
        found[-1] += line + "\n"
        if line.endswith(";") and not quoted:
            found.append("")
    return [text.strip().removesuffix(";") for text in found if text.strip()]


def split(sql: str) -> tuple[list[str], list[str]]:
    """What is done once (DDL), and what each session does in its transaction, without begin and commit."""
    every = statements(sql)
    ddl = [text for text in every if text.startswith("create")]
    return ddl, [text for text in every if text not in ddl and not text.startswith(("begin", "commit"))]


@pytest.fixture
def scene(shared_database: Database) -> Iterator[Scene]:
    """The table and the outbox of the page."""
    (setup,) = re.findall(r"outbox:\n\n```sql\n(.*?)```", PAGE, re.DOTALL)
    with Scene(shared_database.dsn, outbox="accounts") as opened:
        for text in statements(setup):
            if "outbox_create" not in text:
                opened.admin.run(text)
        yield opened
    Scene.clear(shared_database.dsn)


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def run_all(session: Session, texts: list[str]) -> None:
    for text in texts:
        session.connection.execute(text.encode())


def begun(scene: Scene, thread: ThreadPoolExecutor, session: Session, texts: list[str]) -> Future[None]:
    """Run statements on the thread; return when the session has finished them or waits for a lock."""
    waiting = "select count(*) from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
    done = thread.submit(run_all, session, texts)
    for _ in attempts(30, list):
        if done.done() or scene.admin.run(waiting, [session.pid]) == [(1,)]:
            break
    return done


def published_by(scene: Scene, session: Session) -> list[int]:
    """Ids of the messages that a session's open transaction has published."""
    return [row[0] for row in session.run(f"select id from {scene.table} where xid = pg_current_xact_id()")]


@pytest.mark.parametrize("cut", [False, True], ids=["one window", "a window after each commit"])
@pytest.mark.parametrize("pattern", patterns(KEEPS))
def test_hazard_13_a_pattern_that_keeps_order(
    scene: Scene, thread: ThreadPoolExecutor, pattern: str, cut: bool
) -> None:
    """The second session waits for the first; its event comes second, though its xid is the smaller one."""
    ddl, body = split(patterns(KEEPS)[pattern])
    run_all(scene.admin, ddl)
    scene.begin().take_xid()
    a, b = scene.begin(), scene.begin()
    b.take_xid()
    relay = scene.relay()
    relay.acquire()
    run_all(a, body)
    rest = begun(scene, thread, b, body)
    assert not rest.done(), "the second session does not wait"
    a.commit()
    if cut:
        relay.drain()
    rest.result()
    b.commit()
    relay.drain()
    assert [payload["balance"] for payload in relay.payloads] == [10, 20]


def test_hazard_13_publish_before_the_lock_arrives_in_either_order(scene: Scene) -> None:
    """B changes the account before A does, though A's id is smaller: one window gives A, B, two give B, A."""
    _, (publish, update) = split(patterns(DOES_NOT)["Publish before the lock"])
    relays = [scene.relay(), scene.relay(group_id=scene.add_group("other"))]
    for relay in relays:
        relay.drain()
    a, b = scene.begin(), scene.begin()
    run_all(a, [publish])
    run_all(b, [publish])
    (of_a,), (of_b,) = published_by(scene, a), published_by(scene, b)
    run_all(b, [update])
    b.commit()
    relays[0].drain()
    run_all(a, [update])
    a.commit()
    assert [of_b, *relays[0].drain()] == [of_b, of_a]
    assert relays[1].drain() == [of_a, of_b]


@pytest.mark.parametrize(
    ("pattern", "arrives"),
    [
        ("Publish in a SET list", [10, 10, 20]),
        ("Publish in the select list of FOR UPDATE", [0, 0, 10]),
    ],
)
def test_hazard_13_a_publish_that_is_evaluated_before_the_lock_is_evaluated_again(
    scene: Scene, thread: ThreadPoolExecutor, pattern: str, arrives: list[int]
) -> None:
    """Three messages of two statements: the second session's first one is stale."""
    _, body = split(patterns(DOES_NOT)[pattern])
    change = ["update account set balance = balance + 10 where id = 1"] if "FOR UPDATE" in pattern else []
    a, b = scene.begin(), scene.begin()
    run_all(a, body + change)
    rest = begun(scene, thread, b, body)
    assert not rest.done()
    a.commit()
    rest.result()
    assert len(published_by(scene, b)) == 2
    b.commit()
    relay = scene.relay()
    relay.drain()
    assert [payload["balance"] for payload in relay.payloads] == arrives


@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
def test_hazard_13_what_was_read_without_a_lock_may_be_published_after_newer_events(
    scene: Scene, isolation: str
) -> None:
    """B's change is published first, then A publishes what it had read before; nobody is refused."""
    _, (read, publish) = split(patterns(DOES_NOT)["Read without a lock, then publish what was read"])
    a, b = scene.begin(isolation), scene.begin(isolation)
    ((balance,),) = a.run(read)
    run_all(b, ["update account set balance = balance + 10 where id = 1", publish])
    b.commit()
    if isolation == "serializable":
        run_all(a, [publish])
    else:
        a.publish({"balance": balance}, key="1")
    a.commit()
    relay = scene.relay()
    relay.drain()
    assert [payload["balance"] for payload in relay.payloads] == [10, 0]


def published_in_one_order_and_delivered_in_the_other(scene: Scene, body: list[str]) -> None:
    """A publishes before B and commits after it; a window in between has B's alone."""
    relay = scene.relay()
    relay.drain()
    a, b = scene.begin(), scene.begin()
    run_all(a, body)
    run_all(b, body)
    (of_a,), (of_b,) = published_by(scene, a), published_by(scene, b)
    b.commit()
    first = relay.drain()
    a.commit()
    assert of_a < of_b
    assert first + relay.drain() == [of_b, of_a]


def test_hazard_13_a_session_lock_freed_before_the_commit_orders_nothing(scene: Scene) -> None:
    """B gets the lock while A's transaction is open, and commits before it: a window in between has B's first."""
    name = "Publish under a session-level advisory lock that is freed before the commit"
    _, body = split(patterns(DOES_NOT)[name])
    published_in_one_order_and_delivered_in_the_other(scene, body)


def test_hazard_13_a_before_insert_trigger_publishes_rows_that_are_never_inserted(scene: Scene) -> None:
    """The row exists already; nothing is stored, and an event says otherwise."""
    ddl, body = split(patterns(DOES_NOT)["Publish in a BEFORE INSERT trigger, with ON CONFLICT"])
    run_all(scene.admin, ddl + body)
    relay = scene.relay()
    relay.drain()
    assert [payload["balance"] for payload in relay.payloads] == [500]
    assert scene.admin.run("select balance from account") == [(0,)]


def test_hazard_13_a_foreign_keys_lock_makes_nobody_wait(scene: Scene) -> None:
    """Both hold it: the events are published in one order and committed in the other."""
    ddl, body = split(patterns(DOES_NOT)["Rely on a foreign key's lock"])
    run_all(scene.admin, ddl)
    published_in_one_order_and_delivered_in_the_other(scene, body)


def test_a_publish_after_seeing_the_others_commit_comes_second_without_any_lock(scene: Scene) -> None:
    """Having seen it is enough: no snapshot shows the second event without the first."""
    a, b = scene.begin(), scene.begin()
    b.take_xid()
    first = a.publish()
    a.commit()
    assert b.run(f"select count(*) from {scene.table}") == [(1,)]
    second = b.publish()
    b.commit()
    assert scene.relay().drain() == [first, second]


def test_every_pattern_of_the_page_has_its_test() -> None:
    """A pattern that is added to the page is run by a test here, or this fails."""
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in patterns(DOES_NOT) if f'"{name}"' not in source] == []
    assert len(patterns(KEEPS) | patterns(DOES_NOT)) == PAGE.count("\n### ")
