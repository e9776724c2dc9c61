"""Notices a producer that comes no further although the cluster answers others.

librdkafka keeps a topic's leader epochs: when leaders had changed, and the topic is deleted and made again between
two of its looks, it takes the new leaders for older ones and never asks them. And its threads wait by the wall clock:
set back while they wait, it is waited for. A new producer ends both. Where the cluster is away none would help, and
one is a danger (what the old one sent may land behind what the new one sends): so every leader has to answer a client
of its own, twice, before this producer is given up.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

_PATIENCE_S: Final = 30.0
_PATIENCE_MAX_S: Final = 600.0
_AGAIN_S: Final = 10.0
_ANSWER_S: Final = 5.0
_TIMES: Final = 2
_TOPICS_MAX: Final = 100
"""Templates may make thousands of topics; then nothing is asked, and nothing given up."""

Topics = Mapping[str, int]
"""Their numbers of partitions."""


def leaders_answer(properties: Mapping[str, Any], topics: Topics) -> bool:
    """Whether the leader of each partition answers a new client; blocks. ``properties``: those of an admin client."""
    asked = {
        TopicPartition(topic, partition): OffsetSpec.latest()  # type: ignore[no-untyped-call]
        for topic, partitions in topics.items()
        for partition in range(partitions)
    }
    try:
        admin = AdminClient(dict(properties))
        answers = admin.list_offsets(asked, request_timeout=_ANSWER_S)
        return all(answer.exception() is None for answer in answers.values())
    except KafkaException:
        return False


class Stuck:
    """Of one delivery; for its thread, which never waits here."""

    def __init__(
        self, answers: Callable[[Topics], bool], worker: ThreadPoolExecutor, clock: Callable[[], float]
    ) -> None:
        """``answers`` blocks, on the worker's thread."""
        self._answers = answers
        self._worker = worker
        self._clock = clock
        self._patience_s = _PATIENCE_S
        self._asked: Future[bool] | None = None
        self._times = 0
        self._reported = 0
        self._ask_at = clock() + self._patience_s

    def is_so(self, handed_over: int, outstanding: int, topics: Topics) -> bool:
        """Whether a new producer should take over: of what was handed over to this one nothing is acknowledged."""
        reported = handed_over - outstanding
        if reported != self._reported or outstanding == 0:
            self._reported, self._times = reported, 0
            if outstanding == 0 or reported:
                self._patience_s = _PATIENCE_S
            self._ask_at = self._clock() + self._patience_s
            return False
        if self._asked is None:
            if self._clock() >= self._ask_at and 0 < len(topics) <= _TOPICS_MAX:
                self._asked = self._worker.submit(partial(self._answers, dict(topics)))
            return False
        if not self._asked.done():
            return False
        asked, self._asked = self._asked, None
        self._times = self._times + 1 if asked.result() else 0
        if self._times < _TIMES:
            self._ask_at = self._clock() + _AGAIN_S
            return False
        self._times = 0
        self._patience_s = min(2 * self._patience_s, _PATIENCE_MAX_S)
        self._ask_at = self._clock() + self._patience_s
        return True
