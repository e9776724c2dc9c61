"""A rate limit: so many and no more, in order, without anybody sleeping, and nothing lost by it."""

from confluent_kafka import KafkaError

from delivery_kit import Driver, a_config, a_row
from pg_tide_relay.config.pace_models import RateLimitConfig
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.pace import TokenBucket, pace_of
from unit.test_delivery_errors import ScriptedProducer


class Clock:
    """Stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_begins_full_gains_by_time_and_never_holds_more_than_its_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 4, clock)
    assert bucket.available() == 4
    bucket.take(4)
    assert bucket.available() == 0
    for gained in (0, 0, 1, 1, 1, 2):
        clock.now += 0.04
        assert bucket.available() == gained
    clock.now += 3600
    assert bucket.available() == 4


def test_what_was_taken_too_much_is_paid_back_first() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 1, clock)
    bucket.take(2)
    clock.now += 0.15
    assert bucket.available() == 0
    clock.now += 0.06
    assert bucket.available() == 1


def test_looking_often_loses_nothing() -> None:
    """Fractions of a token are kept: a thousand looks a second give what one gives."""
    clock = Clock()
    bucket = TokenBucket(3, 100, clock)
    bucket.take(100)
    for _ in range(10_000):
        clock.now += 0.001
        bucket.available()
    assert bucket.available() in (29, 30)


def test_without_a_burst_it_is_a_seconds_worth_and_without_a_rate_there_is_no_bucket() -> None:
    clock = Clock()
    assert pace_of(RateLimitConfig(), clock) is None
    bucket = pace_of(RateLimitConfig(max_messages_per_second=7), clock)
    assert bucket is not None
    assert bucket.available() == 7
    bucket = pace_of(RateLimitConfig(max_messages_per_second=7, burst_size=2), clock)
    assert bucket is not None
    assert bucket.available() == 2


def a_paced_driver(
    *script: KafkaError | None, **keys: object
) -> tuple[Driver, type[ScriptedProducer], Clock]:
    """Ten messages a second, five at once, on a clock that stands still."""
    clock = Clock()
    producers = type("Producers", (ScriptedProducer,), {"script": list(script), "built": 0, "sent": []})
    limit = RateLimitConfig(max_messages_per_second=10, burst_size=5)
    return (
        Driver(a_config(rate_limit=limit, **keys), producer_factory=producers, clock=clock),
        producers,
        clock,
    )


def sent(producers: type[ScriptedProducer]) -> list[int]:
    return [message_id for together in producers.sent for message_id in together]


def test_no_more_is_handed_over_than_the_bucket_holds_and_what_went_is_settled() -> None:
    """Messages of two batches, in order; the rest stays in the window."""
    driver, producers, clock = a_paced_driver()
    driver.submit(*[a_row(number) for number in range(1, 8)])
    driver.submit(*[a_row(number) for number in range(8, 31)])
    driver.run_until_settled(5)
    for _ in range(20):
        driver.step()
    assert (sent(producers), driver.settled_id) == ([1, 2, 3, 4, 5], 5)
    clock.now += 0.31
    driver.run_until_settled(8)
    assert sent(producers) == list(range(1, 9))
    clock.now += 3600
    driver.run_until_settled(13)
    for _ in range(20):
        driver.step()
    assert sent(producers) == list(range(1, 14))
    assert driver.delivery.state.name is StateName.RUNNING
    driver.close()


def test_a_limit_stops_no_one_message_for_ever() -> None:
    """Less than a message a look: tokens add up."""
    driver, producers, clock = a_paced_driver()
    driver.submit(*[a_row(number) for number in range(1, 11)])
    while driver.settled_id < 10:
        clock.now += 0.01
        driver.step()
    assert sent(producers) == list(range(1, 11))
    assert clock.now >= 1000.5
    driver.close()


def test_what_the_filter_drops_takes_nothing() -> None:
    driver, producers, _ = a_paced_driver(transform={"filter": "n == `1`"})
    rows = [
        a_row(number, payload=b'{"n": 1}' if number % 10 == 0 else b'{"n": 2}') for number in range(1, 51)
    ]
    driver.submit(*rows)
    driver.run_until_settled(50)
    assert sent(producers) == [10, 20, 30, 40, 50]
    driver.close()


def test_tombstones_are_counted_after_their_messages_and_paid_back() -> None:
    """How many records a message makes is known when it is shaped: the bucket may be overdrawn, the rate holds."""
    driver, producers, clock = a_paced_driver(wire_format="debezium")
    driver.submit(
        *[
            a_row(number, op=b"delete", key=b"k", payload=None, old_payload=b'{"n": 1}')
            for number in range(1, 21)
        ]
    )
    began = clock.now
    while driver.settled_id < 20:
        clock.now += 0.01
        driver.step()
    assert sent(producers) == [number for number in range(1, 21) for _ in range(2)]
    assert clock.now - began >= (40 - 2 * 5) / 10
    driver.close()


def test_suspects_go_alone_under_a_limit_as_well() -> None:
    refused = KafkaError(KafkaError.INVALID_RECORD)
    driver, producers, clock = a_paced_driver(refused, refused, None, None)
    driver.submit(a_row(1), a_row(2), a_row(3), a_row(4))

    def is_settled() -> bool:
        clock.now += 0.05
        return driver.settled_id == 4

    driver.run_until(is_settled)
    assert producers.sent[0] == [1, 2, 3, 4]
    assert producers.sent[1:] == [[1], [2]]
    driver.close()
