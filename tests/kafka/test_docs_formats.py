"""The page about wire formats: its examples send the records that it shows."""

import re

from docs_kit import blocks, run_sql, runnable
from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from relay_kit import Tide, records

PAGE = "docs/formats.md"


def without_time(text: str) -> str:
    """The time is that of the run."""
    return re.sub(r'"time":"[^"]+"', '"time":"…"', text)


def test_each_formats_example_is_what_arrives(
    tide: Tide, make_topic: MakeTopic, read_topic: ReadTopic, start_relay: StartRelay
) -> None:
    """In the order of the page: native, structured CloudEvents."""
    topics = {shown: make_topic() for shown in ("plain", "events")}
    places = {"localhost:9092": tide.bootstrap} | {
        f'"topic": "{shown}"': f'"topic": "{real}"' for shown, real in topics.items()
    }
    for block in runnable(PAGE, "sql"):
        run_sql(tide.connection, block, places)
    start_relay(tide.dsn)
    shown = [block.text.strip() for block in blocks(PAGE) if block.language == "json"]
    for topic, text in zip(topics.values(), shown, strict=True):
        (record,) = records(read_topic(topic, 1))
        assert record.value is not None
        assert without_time(record.value.decode()) == without_time(text)
