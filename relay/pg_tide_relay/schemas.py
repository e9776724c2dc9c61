"""The schemas of a pipeline: which ones its records need, and the ids that the registry has for them.

Knows no network: what shapes records asks here, and ``schema_checks`` asks the registry. Not tied to one wire
format: a format says which questions a topic raises, and writes its records with the answers.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

T = TypeVar("T")

# A template with {outbox_id} makes a subject for every message.
_KNOWN_MAX: Final = 10_000


class Question(NamedTuple):
    """What a record needs of the registry: the id of a schema under its subject, or a schema that is only there."""

    subject: str
    schema: str | None = None
    """JSON of the schema whose id is wanted; None: the schema itself is wanted, of this version."""
    version: int | str | None = None
    """A number or ``latest``; None where the schema is known."""


class Answer(NamedTuple):
    """A schema that the registry has."""

    schema_id: int
    schema: str  # JSON


class SchemaWanted(Exception):  # noqa: N818  (no error: the message waits for an answer, and is shaped again)
    """A record can't be shaped before the registry has answered."""

    def __init__(self, question: Question) -> None:
        """Name what has to be asked."""
        super().__init__(question.subject)
        self.question = question


QuestionsOf = Callable[[str], Sequence[Question]]
"""What has to be known before a record can go to a topic."""


class Schemas:
    """What one pipeline knows of the registry; ids never change, so nothing is asked twice."""

    def __init__(self) -> None:
        self.questions_of: QuestionsOf = _nothing
        """Set by the wire format when it is compiled."""
        self._known: dict[Question, Answer] = {}

    def answer(self, question: Question) -> Answer:
        """The answer; SchemaWanted while it is not known."""
        answer = self._known.get(question)
        if answer is None:
            raise SchemaWanted(question)
        return answer

    def learn(self, question: Question, answer: Answer) -> None:
        """Take the registry's answer."""
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[question] = answer

    def knows(self, question: Question) -> bool:
        """Whether nobody needs to ask."""
        return question in self._known


def per_topic(make: Callable[[str], T]) -> Callable[[str], T]:
    """The same, made once for each topic; what raises is asked for again."""
    known: dict[str, T] = {}

    def remembered(topic: str) -> T:
        found = known.get(topic)
        if found is None:
            found = make(topic)
            if len(known) >= _KNOWN_MAX:
                known.clear()
            known[topic] = found
        return found

    return remembered


def _nothing(_topic: str) -> Sequence[Question]:
    return ()
