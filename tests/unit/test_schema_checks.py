"""Questions to a registry that answers late, badly or not at all: what delivery is told, and when it is asked again."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError

from delivery_kit import RecordedLog
from pg_tide_relay.backoff import Backoff
from pg_tide_relay.checks import Checks
from pg_tide_relay.contact import Contact
from pg_tide_relay.delivery_state import Status, Trouble
from pg_tide_relay.errors import ErrorClass, RegistryError
from pg_tide_relay.produce import ProducerEvent, RecordProducer
from pg_tide_relay.registry_errors import away, not_registered
from pg_tide_relay.schema_checks import SchemaChecks
from pg_tide_relay.schemas import Answer, Question, Schemas
from pg_tide_relay.topics import TopicChecks

FIRST, SECOND = Question("a-value", '"long"'), Question("a-key", '"string"')


class Registry:
    """Answers as the test says; counts what it was asked."""

    def __init__(self) -> None:
        self.now = 100.0
        self.error: RegistryError | None = None
        self.asked: list[Question] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.schemas = Schemas()
        self.checks = SchemaChecks(self.schemas, self.ask, lambda: self.now, Backoff(chance=lambda: 1.0))

    def ask(self, question: Question) -> Answer:
        self.asked.append(question)
        assert self.may_answer.wait(30)
        if self.error is not None:
            raise self.error
        return Answer(len(self.asked), str(question.schema))

    def step(self) -> Trouble | None:
        """One question and its answer."""
        assert self.checks.step() is None
        self.checks.wait(30)
        return self.checks.step()


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = Registry()
    yield registry
    registry.may_answer.set()


def test_questions_are_asked_one_after_the_other_and_each_once(registry: Registry) -> None:
    for question in (FIRST, SECOND, FIRST):
        registry.checks.want(question)
    assert [registry.step(), registry.checks.waiting] == [None, True]
    assert [registry.step(), registry.checks.waiting] == [None, False]
    registry.checks.want(FIRST)
    assert not registry.checks.waiting
    assert registry.asked == [FIRST, SECOND]
    assert registry.schemas.answer(SECOND) == Answer(2, '"string"')


def test_whoever_steps_does_not_wait_for_the_answer(registry: Registry) -> None:
    """The loop that hands messages over goes on meanwhile."""
    registry.may_answer.clear()
    registry.checks.want(FIRST)
    assert [registry.checks.step() for _ in range(1000)] == [None] * 1000
    assert len(registry.asked) <= 1
    registry.may_answer.set()
    registry.checks.wait(30)
    assert registry.checks.step() is None
    assert registry.schemas.knows(FIRST)


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (away("x"), [0.5, 1, 2, 4, 5, 5, 5]),
        (not_registered("x"), [0.5, 1, 2, 4, 8, 16, 30, 30]),
    ],
)
def test_it_is_asked_again_at_growing_distances_without_end(
    registry: Registry, error: RegistryError, pauses: list[float]
) -> None:
    """A registry that is back is noticed within five seconds."""
    registry.error = error
    registry.checks.want(FIRST)
    for attempts, pause_s in enumerate(pauses, start=1):
        trouble = registry.step()
        assert trouble is not None
        assert (trouble.attempts, trouble.pause_s) == (attempts, pause_s)
        assert (trouble.error_class, trouble.code, trouble.cure) == (
            error.error_class,
            error.code,
            error.cure,
        )
        asked = len(registry.asked)
        registry.now += pause_s * 0.99
        assert registry.checks.step() is None
        assert len(registry.asked) == asked
        registry.now += pause_s * 0.01 + 0.001
    registry.error = None
    assert registry.step() is None
    assert not registry.checks.waiting
    assert not registry.checks.troubled


def test_an_answer_that_nobody_waits_for_any_more_is_kept_and_a_trouble_is_not_told(
    registry: Registry,
) -> None:
    """Delivery went back meanwhile."""
    registry.error = away("x")
    registry.checks.want(FIRST)
    registry.checks.step()
    registry.checks.cancel()
    registry.checks.wait(30)
    assert registry.checks.step() is None
    registry.error = None
    registry.checks.want(FIRST)
    registry.checks.step()
    registry.checks.cancel()
    registry.checks.wait(30)
    assert registry.checks.step() is None
    assert registry.schemas.knows(FIRST)


class Topics:
    """Checks of topics that are in trouble, each time."""

    waiting = True

    def step(self, _producer: RecordProducer) -> Trouble:
        return Trouble(
            error_class=ErrorClass.DESTINATION, cause="no topic", code=str(KafkaError.UNKNOWN_TOPIC_OR_PART)
        )


def test_one_cause_is_told_at_a_time(registry: Registry) -> None:
    """While the registry is away, a topic that is missing, too, does not take its place with each look."""
    checks = Checks(cast(TopicChecks, Topics()), registry.checks, None)
    step: Callable[[], Any] = lambda: checks.step(cast(RecordProducer, None))  # noqa: E731
    assert step().cause == "no topic"
    registry.error = away("no registry")
    checks.want_schema(FIRST)
    step()
    registry.checks.wait(30)
    assert step().cause == "no registry"
    assert [step(), step()] == [None, None]
    registry.error = None
    registry.now += 1
    step()
    registry.checks.wait(30)
    step()
    assert step().cause == "no topic"


def test_a_relay_without_a_registry_loads_no_http_client() -> None:
    """It costs half a second and 30 MB; nor does one with a registry load it on its busy thread."""
    code = "import sys, pg_tide_relay.cli, pg_tide_relay.build; print('httpx2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "False"


def test_a_registry_that_is_away_is_not_taken_for_brokers_that_are() -> None:
    """Whatever was heard of brokers, and in place of what they are waited for."""
    contact = Contact(status := Status(RecordedLog()), lambda: 0.0, 30.0)
    contact.hear(
        ProducerEvent(error_class=ErrorClass.CLUSTER_AWAY, code="_TRANSPORT", cause="gone", fatal=False)
    )
    error = away("no registry")
    trouble = Trouble(
        error_class=error.error_class, code=error.code, cause=error.cause, cure=error.cure, of_registry=True
    )
    contact.unanswered(trouble)
    assert (status.state.code, status.state.cause, status.state.cure) == (error.code, error.cause, error.cure)
    contact.answered()
    contact.unanswered(Trouble(error_class=ErrorClass.DESTINATION, cause="no topic"))
    contact.unanswered(trouble)
    assert status.state.code == error.code
