"""Asks the registry for what records need, before their first message is handed over.

The answer may take as long as ``schema_registry.timeout_ms``: a thread asks, and delivery goes on with what it has.
The thread is not delivery's worker, which has to be free to end a producer, nor one that the end of the process
would wait for.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Final

from pg_tide_relay.backoff import Backoff
from pg_tide_relay.delivery_state import Trouble
from pg_tide_relay.errors import ErrorClass, RegistryError
from pg_tide_relay.schemas import Answer, Question, Schemas

# A registry that is back is noticed after this long at the latest.
_AWAY_PAUSE_S_MAX: Final = 5.0

Ask = Callable[[Question], Answer]
"""Asks the registry and waits for it; raises RegistryError."""


class SchemaChecks:
    """The questions that delivery waits for, asked one after the other."""

    def __init__(
        self, schemas: Schemas, ask: Ask, clock: Callable[[], float], backoff: Backoff | None = None
    ) -> None:
        """``schemas`` learns the answers that ``ask`` gives, on a thread of its own."""
        self._schemas = schemas
        self._ask = ask
        self._clock = clock
        self._wanted: dict[Question, None] = {}
        self._asked: Question | None = None  # of the question that is under way
        self._answer: Future[Answer] | None = None
        self._again_at = 0.0
        self._backoff = backoff or Backoff()
        self.troubled = False
        """Whether the last answer was a trouble that delivery still waits behind."""

    @property
    def waiting(self) -> bool:
        """Whether delivery waits for an answer."""
        return bool(self._wanted)

    def want(self, question: Question) -> None:
        """Delivery can't go on without the answer; ``step`` asks."""
        if question not in self._wanted and not self._schemas.knows(question):
            self._wanted[question] = None

    def ahead(self, topic: str) -> None:
        """Want what records for this topic will need."""
        for question in self._schemas.questions_of(topic):
            self.want(question)

    def cancel(self) -> None:
        """Delivery waits for nothing any more."""
        self._wanted.clear()
        self.troubled = False

    def wait(self, timeout_s: float) -> None:
        """Wait for the answer that is under way, or for the time of the next question; at most this long."""
        if self._answer is not None:
            wait([self._answer], timeout_s)
        else:
            time.sleep(min(timeout_s, max(0.0, self._again_at - self._clock())))

    def step(self) -> Trouble | None:
        """Ask, or take the answer; a trouble is returned each time the answer is one."""
        if self._answer is not None:
            return self._take_answer(self._answer) if self._answer.done() else None
        question = next(iter(self._wanted), None)
        if question is not None and self._clock() >= self._again_at:
            self._asked = question
            self._answer = _in_background(self._ask, question)
        return None

    def _take_answer(self, future: Future[Answer]) -> Trouble | None:
        question, self._asked, self._answer = self._asked, None, None
        assert question is not None, "an answer has a question"
        try:
            answer = future.result()
        except RegistryError as error:
            # Delivery may have gone back, and wait for nothing by now.
            return self._not_answered(error) if question in self._wanted else None
        self._schemas.learn(question, answer)
        self._wanted.pop(question, None)
        self._backoff.reset()
        self.troubled = False
        return None

    def _not_answered(self, error: RegistryError) -> Trouble:
        pause_s = self._backoff.next_s()
        if error.error_class is ErrorClass.CLUSTER_AWAY:
            pause_s = min(pause_s, _AWAY_PAUSE_S_MAX)
        self._again_at = self._clock() + pause_s
        self.troubled = True
        return Trouble(
            error_class=error.error_class,
            code=error.code,
            cause=error.cause,
            cure=error.cure,
            of_registry=True,
            attempts=self._backoff.attempts,
            pause_s=pause_s,
        )


def _in_background(ask: Ask, question: Question) -> Future[Answer]:
    answer: Future[Answer] = Future()

    def work() -> None:
        try:
            answer.set_result(ask(question))
        except BaseException as error:  # noqa: BLE001  (raised again by who takes the answer)
            answer.set_exception(error)

    threading.Thread(target=work, name="schema-registry", daemon=True).start()
    return answer
