"""The page about filter and projection: what it says is published arrives as it says."""

from pathlib import Path

from docs_kit import blocks, run_shell, run_sql, runnable
from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from relay_kit import Tide, records

PAGE = "docs/transforms.md"


def test_the_pages_example_sends_the_record_that_it_shows(
    tide: Tide, make_topic: MakeTopic, read_topic: ReadTopic, start_relay: StartRelay, tmp_path: Path
) -> None:
    """Of three orders one passes the filter; the shell example finds the configuration valid."""
    topic = make_topic()
    places = {"localhost:9092": tide.bootstrap, '"large-orders"': f'"{topic}"'}
    for block in runnable(PAGE, "sql"):
        run_sql(tide.connection, block, places)
    for block in runnable(PAGE, "sh"):
        run_shell(block, tide.dsn, tmp_path, places)
    start_relay(tide.dsn)
    tide.until_settled("large-orders")
    (shown,) = [block.text for block in blocks(PAGE) if block.language == "json"]
    (record,) = records(read_topic(topic, 1))
    assert record.value == shown.strip().encode()
    assert record.key == b"order-1"
