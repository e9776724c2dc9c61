"""A page is bounded by the bytes of its texts as well as by its number of messages, and loses none by it."""

from database.reading import Relay, Scene, Session
from fix_postgres import install_schema
from pg_tide_dev.databases import Database, administrator, drop_database
from pg_tide_dev.postgres import PostgresServer
from pg_tide_relay.poll import PAGE_BYTES

LARGE = 900_000  # bytes; five of them are more than a page


def pages_of(relay: Relay) -> list[list[int]]:
    """Ids, page by page, until the window ends."""
    pages = [relay.page()]
    while relay.is_reading:
        pages.append([row[0] for row in relay.fetch().rows])
    return [page for page in pages if page]


def publish_large(session: Session, count: int) -> list[int]:
    """Messages of which five fill a page."""
    return [session.publish("x" * LARGE) for _ in range(count)]


def test_a_page_ends_with_the_message_that_brings_it_to_its_limit(scene: Scene) -> None:
    """Whatever the number of messages asked for; the window goes on behind it."""
    relay = scene.relay()
    relay.acquire()
    ids = publish_large(scene.session(), 12)
    pages = pages_of(relay)
    assert relay.ids == ids
    assert [len(page) for page in pages] == [5, 5, 2]


def test_keys_and_headers_count_as_payloads_do(scene: Scene) -> None:
    """Each may be as large as a payload, and is kept in memory like one."""
    relay = scene.relay()
    relay.acquire()
    session = scene.session()
    for _ in range(4):
        session.run(
            "select tide.outbox_publish('orders', '{}'::jsonb, key => repeat('k', %s),"
            " dedup_key => repeat('d', %s) || %s, headers => jsonb_build_object('h', repeat('h', %s)))",
            [PAGE_BYTES // 6, PAGE_BYTES // 6, "x", PAGE_BYTES // 3],
        )
    assert [len(page) for page in pages_of(relay)] == [2, 2]


def test_a_replay_pass_is_cut_the_same_way(scene: Scene) -> None:
    """Everything is sent again, in pages."""
    ids = publish_large(scene.session(), 7)
    relay = scene.relay()
    relay.drain()
    scene.admin.run("select tide.group_rewind('g', 'orders', to_id => %s)", [ids[0]])
    relay.acquire()
    assert [len(page) for page in pages_of(relay)] == [5, 2]
    assert relay.ids == ids + ids


def test_stragglers_and_the_main_part_are_merged_up_to_where_both_are_known(scene: Scene) -> None:
    """Each part is cut by its own bytes; nothing behind the cut of one may be sent before the rest of it."""
    late = scene.begin()
    relay = scene.relay()
    late.publish()
    relay.drain()
    scene.session().publish()
    relay.drain()
    before = len(relay.rows)
    mixed = []
    other = scene.session()
    for _ in range(3):
        mixed += publish_large(late, 3)
        mixed += publish_large(other, 4)
    late.commit()
    pages = pages_of(relay)
    assert all(page == sorted(page) for page in pages)
    assert relay.ids[before:] == [min(relay.ids[before:]), *mixed]


def test_one_message_above_the_limit_is_a_page(scene: Scene) -> None:
    """A page holds at least one message."""
    scene.admin.run("select tide.outbox_alter('orders', max_payload_bytes => 10000000)")
    relay = scene.relay()
    relay.acquire()
    ids = [scene.admin.publish("x" * (PAGE_BYTES + 1)), *publish_large(scene.session(), 1)]
    assert pages_of(relay) == [ids[:1], ids[1:]]


def test_a_page_cut_by_bytes_of_the_servers_encoding_is_not_taken_for_the_last(pg18: PostgresServer) -> None:
    """In EUC_TW a character may have four bytes that has three in UTF-8, in which the relay counts."""
    name = "test_euc_tw"
    with administrator(pg18) as connection:
        connection.execute(f"create database {name} encoding 'EUC_TW' template template0 locale 'C'")
    database = Database(server=pg18, name=name)
    install_schema(database.dsn)
    with Scene(database.dsn) as scene:
        text = "\u4e07" * (LARGE // 4)
        ids = [scene.admin.publish(text) for _ in range(6)]
        (row,) = scene.admin.run(f"select max(octet_length(payload)) from {scene.table}")
        relay = scene.relay()
        assert relay.drain() == ids
        client_bytes = len(relay.rows[0][4] or b"")
        assert 5 * client_bytes < PAGE_BYTES <= 5 * row[0]
    drop_database(database)
