"""The page about filter and projection: what it says is published arrives as it says."""

import re
from pathlib import Path

from docs_kit import blocks, run_shell, run_sql, runnable
from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from relay_kit import Tide, header, records

PAGE = "docs/transforms.md"


def without_times(text: str) -> str:
    """Times are those of the run."""
    return re.sub(r"(created at +|pg_tide_ts: )[0-9TZ:.-]+", r"\1…", text)


def test_the_pages_example_sends_the_record_that_it_shows(
    tide: Tide, make_topic: MakeTopic, read_topic: ReadTopic, start_relay: StartRelay, tmp_path: Path
) -> None:
    """Of three orders one passes the filter, and one is sent elsewhere; previews show the same."""
    shown_topics = ("large-orders", "orders", "orders-to-check", "drafts")
    topics = {shown: make_topic() for shown in shown_topics}
    places = {"localhost:9092": tide.bootstrap} | {
        f'"{shown}"': f'"{real}"' for shown, real in topics.items()
    }
    for block in runnable(PAGE, "sql"):
        run_sql(tide.connection, block, places)
    preview, tried = [run_shell(block, tide.dsn, tmp_path, places) for block in runnable(PAGE, "sh")]
    (shown_preview,) = [block.text for block in blocks(PAGE) if block.language == "text"]
    assert without_times(preview.replace(topics["large-orders"], "large-orders")) == without_times(
        shown_preview
    )
    assert re.findall(r'"outcome": "(\w+)"', tried) == ["sent", "sent", "sent"]
    start_relay(tide.dsn)
    tide.until_settled("large-orders", "by-region")
    (shown,) = [block.text for block in blocks(PAGE) if block.language == "json"]
    (record,) = records(read_topic(topics["large-orders"], 1))
    assert record.value == shown.strip().encode()
    assert record.key == b"order-1"
    assert {one.key for one in records(read_topic(topics["orders"], 2))} == {b"1", b"2"}
    (checked,) = records(read_topic(topics["orders-to-check"], 1))
    assert (checked.key, header("why", checked)) == (b"3", b"large")
    assert read_topic(topics["drafts"]) == []
