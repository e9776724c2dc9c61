"""What the reports of a producer that failed mean: for its messages, and for what comes next.

A broker's verdict hits a whole produce batch, so "this message is bad" is final only for a message that was
alone in its batch; until then it is a suspicion.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from confluent_kafka import KafkaError, Message

from pg_tide_relay.delivery_state import Trouble
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.kafka_errors import SIZE_REFUSALS, classify
from pg_tide_relay.produce import ProducerEvent
from pg_tide_relay.window import Batch, Outcome

# The first of these that was reported says what to do; the rest follows from it.
_WEIGHT = {
    error_class: weight
    for weight, error_class in enumerate(
        (
            ErrorClass.FENCED,
            ErrorClass.CONFIGURATION,
            ErrorClass.CREDENTIALS,
            ErrorClass.DESTINATION,
            ErrorClass.MESSAGE,
            ErrorClass.CLUSTER_AWAY,
            ErrorClass.FATAL_PRODUCER,
            ErrorClass.RESEND,
        )
    )
}


class Failure(NamedTuple):
    """A delivery report that names an error."""

    batch: Batch
    place: int  # of the message in its batch
    error: KafkaError
    topic: str | None


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the end of a producer means."""

    trouble: Trouble
    is_final: bool  # a message failed alone: it can't be delivered
    too_large: bool  # the refusal may be about the size of the produce batch


def reporter(batch: Batch, failures: list[Failure]) -> Callable[[int, KafkaError | None, Message], None]:
    """What takes the delivery reports of a batch; runs once per message."""
    outcomes = batch.outcomes
    delivered = int(Outcome.DELIVERED)

    def on_report(place: int, error: KafkaError | None, message: Message) -> None:
        if error is None:
            outcomes[place] = delivered
        else:
            failures.append(Failure(batch, place, error, message.topic()))

    return on_report


def both_of(
    on_report: Callable[[int, KafkaError | None, Message], None],
) -> Callable[[int, KafkaError | None, Message], None]:
    """What takes the reports of a message's two records: delivered with the second, and not when either failed."""
    missing = 2

    def on_one_report(place: int, error: KafkaError | None, message: Message) -> None:
        nonlocal missing
        if error is None:
            missing -= 1
            if missing:
                return
        on_report(place, error, message)

    return on_one_report


def judge(
    failures: Sequence[Failure],
    events: Sequence[ProducerEvent],
    alone: tuple[Batch, int] | None,
    *,
    topic_is_template: bool,
) -> Judgement:
    """Find the heaviest error; ``alone`` is the message that had its produce batch to itself, if any."""
    found = [_trouble_of_failure(failure, topic_is_template) for failure in failures]
    found += [Trouble(error_class=event.error_class, code=event.code, cause=event.cause) for event in events]
    heaviest = min(found, key=lambda trouble: _WEIGHT[trouble.error_class])
    too_large = any(failure.error.code() in SIZE_REFUSALS for failure in failures)
    is_final = heaviest.error_class is ErrorClass.MESSAGE and any(
        (failure.batch, failure.place) == alone for failure in failures
    )
    if heaviest.error_class is ErrorClass.MESSAGE and not is_final:
        # No one message is named: the guilty one may be any of them.
        heaviest = replace(heaviest, message_id=None)
    return Judgement(trouble=heaviest, is_final=is_final, too_large=too_large)


def mark_suspects(failures: Sequence[Failure], *, topic_is_template: bool) -> int:
    """Remember who has to be sent alone; returns how many."""
    suspects = {
        (batch, place)
        for batch, place, error, _ in failures
        if classify(error, topic_is_template=topic_is_template) is ErrorClass.MESSAGE
    }
    for batch, place in suspects:
        batch.suspects.add(place)
    return len(suspects)


def _trouble_of_failure(failure: Failure, topic_is_template: bool) -> Trouble:
    error = failure.error
    return Trouble(
        error_class=classify(error, topic_is_template=topic_is_template),
        code=error.name(),
        cause=error.str(),
        topic=failure.topic,
        message_id=failure.batch.id_at(failure.place),
    )
