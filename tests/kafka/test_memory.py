"""What waits for Kafka waits in PostgreSQL: the relay's memory is bounded by bytes and by messages in flight."""

import json
from collections.abc import Callable

import pytest

from fix_kafka import NewKafka
from fix_relay import Relay, StartRelay
from relay_kit import Tide
from waiting import eventually, for_all_of

BASE_MB = 80
"""A relay that has delivered one message, with room for another release of Python."""
QUEUES_MB = 16 + 32
"""Rows in flight, and what the Kafka client holds."""
PAGES_MB = 3 * 4
"""On their way, and the one that goes beyond the limit."""


def behind_a_silent_broker(
    tide: Tide, new_kafka: NewKafka, start_relay: StartRelay, **keys: object
) -> tuple[Relay, float]:
    """A relay whose broker stopped answering after a message was delivered; its memory by then."""
    broker = new_kafka()
    tide.bootstrap = broker.bootstrap
    tide.outbox()
    tide.pipeline("orders", request_timeout_ms=2_000, **keys)
    relay = start_relay(tide.dsn)
    tide.publish()
    tide.until_settled()
    broker.pause_node(1)
    return relay, relay.memory_mb()


def test_large_headers_and_keys_are_bounded_as_payloads_are(
    tide: Tide, new_kafka: NewKafka, start_relay: StartRelay
) -> None:
    """3,000 messages with 100 KB of headers and as much key wait, 600 MB, and fit into one page by their number."""
    relay, before = behind_a_silent_broker(tide, new_kafka, start_relay, batch_size=10_000)
    tide.value(
        "select count(tide.outbox_publish('orders', '{}'::jsonb, key => n || repeat('k', 100000), headers =>"
        " jsonb_build_object('h', repeat('h', 100000)))) from generate_series(1, 3000) n"
    )
    tide.until_state("backing_off")
    limit_mb = max(before, BASE_MB) + QUEUES_MB + PAGES_MB
    for_all_of(3.0, lambda: relay.memory_mb() < limit_mb, why=relay.memory_mb)
    assert tide.pending() == 3_000


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_million_small_messages_wait_in_the_database_and_not_in_the_relay(
    tide: Tide, new_kafka: NewKafka, start_relay: StartRelay, record_property: Callable[[str, object], None]
) -> None:
    """Largest pages, 200 bytes and three headers each: a message costs more than its bytes, and that counts as well."""
    relay, before = behind_a_silent_broker(tide, new_kafka, start_relay, batch_size=10_000)
    headers = json.dumps({"source": "checkout", "tenant": "a-tenant", "trace": "0123456789abcdef"})
    for _ in range(10):
        tide.value(
            "select count(tide.outbox_publish('orders', jsonb_build_object('n', n, 'x', repeat('x', 180)),"
            " key => 'k' || n, headers => %s::jsonb)) from generate_series(1, 100000) n",
            headers,
        )
    tide.until_state("backing_off")
    peaks: list[float] = []

    def is_bounded() -> bool:
        peaks.append(relay.memory_mb())
        return peaks[-1] < max(before, BASE_MB) + QUEUES_MB + PAGES_MB

    for_all_of(30.0, is_bounded, why=lambda: peaks[-1:])
    record_property("memory_mb", f"{before:.0f} before, {peaks[-1]:.0f} at most")
    print(f"memory: {before:.0f} MiB before, {peaks[-1]:.0f} MiB at most")
    assert eventually(lambda: tide.pending() >= 100_000)
