"""From a message's row to the record that goes to Kafka: transform, encode and route in one closure.

This runs once per message on the relay's only busy thread, so whatever does not change from message to
message is prepared when the pipeline starts.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.route import compile_key, compile_topic
from pg_tide_relay.transform import POSTGRES_EPOCH_US, Row, compile_transform, decode_headers
from pg_tide_wire_formats.headers import compile_headers
from pg_tide_wire_formats.native import native_value


class Record(NamedTuple):
    """What is handed to the producer. A tuple: it is made for every message and lives for a microsecond."""

    topic: str
    key: bytes | None  # None: no key, any partition; b"" is a key
    value: bytes | None  # None: a tombstone
    headers: list[tuple[str, str | bytes | None]]  # bytes as we make them
    timestamp_ms: int


Shape = Callable[[Row], Record | None]
"""From a row to its record. None: the message is filtered. Raises MessageError when it can't be shaped."""


def compile_shape(config: PipelineConfig, outbox: str) -> Shape:
    """Prepare the way of this pipeline's messages; raises ConfigurationError."""
    transform = compile_transform(config.transform)
    topic = compile_topic(config.topic, outbox)
    key_of = compile_key(config.message_key, outbox)
    headers_of = compile_headers(outbox, config.headers)
    # Half the price of Record(...), which goes through a function written in Python.
    make: Callable[[tuple[object, ...]], Record] = partial(tuple.__new__, Record)

    constant, topic_of = (topic, None) if isinstance(topic, str) else ("", topic)

    def shape(row: Row) -> Record:
        message_id, op, _, dedup_key, payload, _, own, created_at = row
        created_us = created_at + POSTGRES_EPOCH_US
        own_headers = None if own is None else decode_headers(message_id, own)
        return make(
            (
                topic_of(row) if topic_of else constant,
                key_of(row),
                native_value(payload),
                headers_of(message_id, op, dedup_key, created_us, own_headers),
                created_us // 1000,  # Kafka counts milliseconds
            )
        )

    if transform is None:
        return shape

    def shape_transformed(row: Row) -> Record | None:
        transformed = transform(row)
        return None if transformed is None else shape(transformed)

    return shape_transformed
