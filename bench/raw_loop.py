"""The ceiling of the client: ready-made records, the relay's producer settings, a callback for each.

python bench/raw_loop.py <bootstrap> <topic> <messages> <value bytes>
"""

import sys

from confluent_kafka import Message, Producer

TIMEOUT_SECONDS = 120.0


def _payload(number: int, size: int) -> bytes:
    head = f'{{"id": {number}, "note": "'
    return (head + "x" * (size - len(head) - 2) + '"}').encode()


def main() -> int:
    """Deliver everything; 1 when that failed."""
    bootstrap, topic, messages, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "enable.gapless.guarantee": True,
            "log_level": 3,
            "linger.ms": 10,
            "batch.num.messages": 1000,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 0,
            "queue.buffering.max.kbytes": 32 * 1024,
        }
    )
    producer.list_topics(topic, timeout=10)
    records = [
        (
            _payload(number, size),
            b"key-%d" % number,
            [
                ("pg_tide_outbox", b"bench"),
                ("pg_tide_op", b"insert"),
                ("pg_tide_id", b"%d" % number),
                ("pg_tide_dedup_key", b"key-%d" % number),
                ("pg_tide_ts", b"1795265480793410"),
            ],
        )
        for number in range(messages)
    ]
    delivered = []

    def on_report(error: object, _message: Message) -> None:
        delivered.append(error)

    for place, (value, key, headers) in enumerate(records):
        while True:
            try:
                producer.produce(topic, value, key, -1, on_report, None, 1795265480793, headers)
                break
            except BufferError:
                producer.poll(0.001)
        if place % 256 == 0:
            producer.poll(0)
    producer.flush(TIMEOUT_SECONDS)
    return 0 if len(delivered) == messages and not any(delivered) else 1


if __name__ == "__main__":
    sys.exit(main())
