"""A producer is given up only when the cluster answers others, twice, long after anything was acknowledged."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from pg_tide_relay.stuck import Stuck, Topics

TOPICS = {"t": 3}


class Worker:
    """Does at once what it is given."""

    def submit(self, job: Callable[[], bool]) -> Future[bool]:
        done: Future[bool] = Future()
        done.set_result(job())
        return done


class Scene:
    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[Topics] = []
        self.answers = True
        worker: Any = Worker()
        self.stuck = Stuck(self._answer, worker, lambda: self.now)
        assert not self.stuck.is_so(10, 5, TOPICS)  # five were acknowledged

    def _answer(self, topics: Topics) -> bool:
        self.asked.append(topics)
        return self.answers

    def given_up_at(self, until: int, topics: Topics | None = None) -> list[int]:
        """The seconds at which a new producer should take over."""
        found = []
        for second in range(int(self.now), until):
            self.now = float(second)
            if self.stuck.is_so(10, 5, TOPICS if topics is None else topics):
                found.append(second)
        return found


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_it_is_given_up_after_two_answers_and_ever_more_patience(scene: Scene) -> None:
    """The first question after half a minute, the second ten seconds later; then twice as patient each time."""
    assert scene.given_up_at(400) == [42, 114, 246]
    assert scene.asked == [TOPICS] * 6 or len(scene.asked) in (6, 7)


def test_a_cluster_that_does_not_answer_others_either_is_waited_for(scene: Scene) -> None:
    scene.answers = False
    assert scene.given_up_at(1000) == []
    assert len(scene.asked) > 10


def test_one_answer_is_not_enough(scene: Scene) -> None:
    assert scene.given_up_at(32) == []
    scene.answers = False
    assert scene.given_up_at(45) == []
    scene.answers = True
    assert scene.given_up_at(60) == []


def test_whatever_is_acknowledged_begins_the_wait_anew(scene: Scene) -> None:
    for second in range(200):
        scene.now = float(second)
        assert not scene.stuck.is_so(100, 99 - second // 25, TOPICS)
    assert scene.asked == []


def test_who_waits_for_nothing_is_not_stuck(scene: Scene) -> None:
    for second in range(200):
        scene.now = float(second)
        assert not scene.stuck.is_so(100, 0, TOPICS)
    assert scene.asked == []


def test_nothing_is_asked_where_the_topics_are_not_known_or_too_many(scene: Scene) -> None:
    assert scene.given_up_at(200, {}) == []
    assert scene.given_up_at(400, {f"t{n}": 1 for n in range(101)}) == []
    assert scene.asked == []
