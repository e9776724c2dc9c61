"""The page about wire formats: its examples send the records that it shows."""

import re

from docs_kit import blocks, run_sql, runnable
from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from relay_kit import Tide, records

PAGE = "docs/formats.md"


def without_time(text: str) -> str:
    """Times, release and database are those of the run."""
    text = re.sub(r'"(version|db|time)":"[^"]+"', r'"\1":"…"', text)
    return re.sub(r'"(ts_.s)":\d+', r'"\1":0', text)


def test_each_formats_example_is_what_arrives(
    tide: Tide, make_topic: MakeTopic, read_topic: ReadTopic, start_relay: StartRelay
) -> None:
    """In the order of the page."""
    shown_topics = ("plain", "dbserver1.public.orders", "typed", "events", "outbox.event.{stream_table}")
    topics = {
        shown: make_topic(suffix="".join(shown.partition(".")[1:]).format(stream_table="order"))
        for shown in shown_topics
    }
    places = {"localhost:9092": tide.bootstrap} | {
        f'"topic": "{shown}"': f'"topic": "{real}"' for shown, real in topics.items()
    }
    for block in runnable(PAGE, "sql"):
        run_sql(tide.connection, block, places)
    start_relay(tide.dsn)
    shown = [block.text.strip() for block in blocks(PAGE) if block.language == "json"]
    compared = [topic for name, topic in topics.items() if name != "typed"]
    for topic, text in zip(compared, shown, strict=True):
        (record,) = records(read_topic(topic, 1))
        assert record.value is not None
        found = record.value.decode().replace(topic.partition(".")[0], "dbserver1")
        assert without_time(found) == without_time(text)
