"""The driver of replays between two threads and a delivery: what it does when one of them does not play along."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import psycopg
import pytest

from pg_tide_relay import replay as module
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.cursor import Ownership
from pg_tide_relay.delivery_state import DeliveryState, Log, Trouble
from pg_tide_relay.encode import Record
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.pace import AllOf, TokenBucket
from pg_tide_relay.poll import PollError, StandbyError
from pg_tide_relay.redrive import RedriveOf
from pg_tide_relay.replay import Replay
from pg_tide_relay.replay_delivery import config_of, with_headers
from pg_tide_relay.replay_store import Progress, ReplayOrder, ReplayPage
from pg_tide_relay.settle import CursorLockedError, NotOwnerError
from pg_tide_relay.shards import all_of
from pg_tide_relay.window import Batch, DeadLetter, Outcome, Window

ORDER = ReplayOrder(
    replay_id=7,
    requested_us=1,
    last_position=0,
    until_id=4,
    to_topic=None,
    headers=None,
    max_messages_per_second=None,
)
OWNED = Ownership(group_id=1, token=UUID(int=1), epoch=1, generation=1, timeline=1, connection=1)
BAD = Trouble(error_class=ErrorClass.MESSAGE, cause="too large", code="MSG_SIZE_TOO_LARGE", topic="t")


def row(message_id: int) -> Any:
    return (message_id, b"insert", b"k", None, b"{}", None, None, 0)


class SilentLog:
    def debug(self, event: str, /, **fields: object) -> None: ...
    def info(self, event: str, /, **fields: object) -> None: ...
    def warning(self, event: str, /, **fields: object) -> None: ...


class FakeDelivery:
    """Takes batches; a test gives the outcomes."""

    def __init__(self) -> None:
        self.window = Window()
        self.outstanding = 0
        self.held = self.closed = False
        self.is_ready = True
        self.lost: Trouble | None = None
        self.deadline: float | None = None
        self.undelivered = SimpleNamespace(load=lambda _keys: None)
        self.state = DeliveryState(name=StateName.RUNNING, since=datetime.now(UTC))

    @property
    def can_accept(self) -> bool:
        return self.state.name not in (StateName.STOPPED, StateName.ENDED)

    def submit(self, batch: Batch) -> None:
        self.window.append(batch)
        self.outstanding = sum(not outcome for outcome in batch.outcomes)

    def settle(self, *outcomes: Outcome) -> None:
        """The next messages get these."""
        (batch,) = self.window.to_hand_over()
        for outcome in outcomes:
            place = batch.outcomes.find(Outcome.UNSETTLED)
            batch.outcomes[place] = outcome
            self.outstanding -= 1
            if outcome is Outcome.DEAD_LETTERED:
                batch.letters[place] = DeadLetter(batch.id_at(place), b"k", False, BAD)

    def take_settled(self) -> Any:
        return self.window.take_settled()

    def stop_handing_over(self) -> None:
        self.held = True

    def forget(self) -> None:
        self.window.clear()

    def close(self) -> None:
        self.closed = True
        self.outstanding = 0

    def resume(self) -> None: ...

    def prepare(self) -> None: ...

    def poll(self, _timeout_s: float) -> None: ...


@dataclass
class FakeWorker:
    """Runs a job at once and keeps its answer until it is let go."""

    answers: list[Callable[[], None]] = field(default_factory=list)

    def submit(self, job: Callable[[Any], Any], on_done: Callable[[Future[Any]], None]) -> None:
        done: Future[Any] = Future()
        try:
            done.set_result(job(None))
        except (psycopg.Error, PollError, NotOwnerError, CursorLockedError) as error:
            done.set_exception(error)
        self.answers.append(lambda: on_done(done))

    def answer(self) -> None:
        answers, self.answers = self.answers, []
        for one in answers:
            one()


class Scene:
    """A replay of messages 1 to 4, two a page, and what the database was told."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.worker = FakeWorker()
        self.deliveries: list[FakeDelivery] = []
        self.told: list[
            tuple[Progress, str | None, str | None]
        ] = []  # progress, how it ended, what stands in the way
        self.order: ReplayOrder | None = ORDER
        self.state: str | Exception = "running"
        self.lost: list[Exception] = []
        self.lease = SimpleNamespace(owned=OWNED, deadline=1e9)
        self.now = 0.0
        patch.setattr(module, "begin_replay", lambda _conn, **_given: self.order)
        patch.setattr(module, "read_replay_page", self.page)
        patch.setattr(module, "settle_replay", self.settled)
        self.replay = Replay(
            of=RedriveOf(1, 1, 2, all_of),
            relay_id="r",
            reader=cast(Any, self.worker),
            writer=cast(Any, self.worker),
            lease=cast(Any, self.lease),
            new_delivery=cast(Any, self.new_delivery),
            on_lost=self.on_lost,
            log=cast(Log, SilentLog()),
        )

    def on_lost(self, error: Exception) -> None:
        """As the pipeline does."""
        self.lost.append(error)
        self.replay.forget()

    def new_delivery(self, _order: ReplayOrder) -> FakeDelivery:
        self.deliveries.append(FakeDelivery())
        return self.deliveries[-1]

    def page(self, _conn: object, replay_id: int, behind_id: int, size: int) -> ReplayPage:
        assert replay_id == ORDER.replay_id
        ids = list(range(behind_id + 1, ORDER.until_id + 1))[:size]
        return ReplayPage([row(one) for one in ids], [False] * len(ids), ids[-1])

    def settled(
        self, _conn: object, owned: Ownership, replay_id: int, progress: Progress, *, what: Any, said: Any
    ) -> str:
        assert (owned, replay_id) == (OWNED, ORDER.replay_id)
        if isinstance(self.state, Exception):
            raise self.state
        self.told.append((progress, what, None if said is None else said.error))
        return what or self.state

    @property
    def delivery(self) -> FakeDelivery:
        return self.deliveries[-1]

    def step(self, times: int = 1, seconds: float = 0.25) -> None:
        for _ in range(times):
            self.now += seconds
            self.replay.step(self.now)
            self.worker.answer()

    def begun(self) -> "Scene":
        """The first page is on its way."""
        self.replay.want(ORDER.replay_id)
        self.step(3)
        assert self.delivery.outstanding == 2
        return self


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def counts(progress: Progress) -> tuple[int, int, int, int, int]:
    return (progress.position, progress.sent, progress.filtered, progress.failed, progress.left_out)


def test_page_after_page_is_told_and_the_end_once(scene: Scene) -> None:
    scene.begun()
    scene.delivery.settle(Outcome.DELIVERED, Outcome.DEAD_LETTERED)
    scene.step(3)
    scene.delivery.settle(Outcome.FILTERED)
    scene.step()
    scene.delivery.settle(Outcome.DELIVERED)
    scene.order = None
    scene.step(4)
    assert [(counts(progress), what) for progress, what, _ in scene.told] == [
        ((2, 1, 0, 1, 0), None),
        ((3, 0, 1, 0, 0), None),
        ((4, 1, 0, 0, 0), "done"),
    ]
    assert scene.told[0][0].first_failed_id == 2
    assert scene.told[0][0].first_error == "MSG_SIZE_TOO_LARGE: too large (topic t)"
    assert (scene.delivery.closed, scene.replay.is_done) == (True, True)


def test_what_could_not_be_told_is_told_with_the_next(scene: Scene) -> None:
    """Another transaction held the row."""
    scene.begun().state = CursorLockedError()
    scene.delivery.settle(Outcome.DEAD_LETTERED)
    scene.step()
    scene.delivery.settle(Outcome.DEAD_LETTERED)
    scene.state = "running"
    scene.step(2)
    assert scene.told == []
    scene.step(2, seconds=1.0)
    assert [counts(progress) for progress, *_ in scene.told] == [(2, 0, 0, 2, 0)]
    assert scene.told[0][0].first_failed_id == 1


def test_a_cancelled_one_hands_over_nothing_more_and_tells_what_was_sent(scene: Scene) -> None:
    scene.begun().replay.want(None)
    assert scene.delivery.held
    scene.state = "cancelled"
    scene.delivery.settle(Outcome.DELIVERED)
    scene.step()
    assert scene.told == []
    scene.delivery.outstanding = 0
    scene.order = None
    scene.step(4)
    assert [(counts(progress), what) for progress, what, _ in scene.told] == [((1, 1, 0, 0, 0), None)]
    assert scene.delivery.closed


def test_what_an_absent_cluster_does_not_answer_is_taken_back_when_it_is_cancelled(scene: Scene) -> None:
    scene.begun().replay.want(8)
    scene.step(4)
    assert not scene.delivery.closed
    scene.step(6)
    assert scene.deliveries[0].closed


def test_a_settle_that_finds_it_cancelled_stops_it_too(scene: Scene) -> None:
    scene.begun().state = "cancelled"
    scene.delivery.settle(Outcome.DELIVERED)
    scene.step()
    assert scene.delivery.held


def test_a_delivery_that_stopped_fails_the_replay_and_not_the_pipeline(scene: Scene) -> None:
    scene.begun()
    scene.delivery.settle(Outcome.DELIVERED)
    scene.delivery.state = replace(scene.delivery.state, name=StateName.STOPPED, cause="too many")
    scene.order = None
    scene.step(3)
    assert [(counts(progress), what, said) for progress, what, said in scene.told][-1:] == [
        ((1, 1, 0, 0, 0), "failed", "too many")
    ]
    assert (scene.lost, scene.delivery.closed) == ([], True)


def test_a_delivery_that_ended_is_followed_by_another_from_the_first_message_without_an_outcome(
    scene: Scene,
) -> None:
    scene.begun()
    scene.delivery.settle(Outcome.DELIVERED)
    scene.delivery.state = replace(scene.delivery.state, name=StateName.ENDED)
    scene.step(8)
    assert len(scene.deliveries) == 2
    (batch,) = scene.delivery.window.to_hand_over()
    assert [one[0] for one in batch.rows] == [2, 3]


def test_what_stands_in_the_way_is_told_once_and_its_end_too(scene: Scene) -> None:
    scene.begun()
    well = scene.delivery.state
    scene.delivery.state = replace(well, name=StateName.BACKING_OFF, cause="no topic")
    scene.step(4)
    scene.delivery.state = well
    scene.step(4)
    assert [said for _, _, said in scene.told] == ["no topic", None]


def test_after_a_lost_cursor_it_goes_on_where_the_database_says_and_old_answers_are_nobodys(
    scene: Scene,
) -> None:
    scene.begun()
    first = scene.delivery
    first.settle(Outcome.DELIVERED)
    scene.state = NotOwnerError()
    scene.replay.step(scene.now + 1)
    scene.replay.forget()
    scene.worker.answer()
    assert scene.lost == []
    scene.state, scene.order = "running", replace(ORDER, last_position=3)
    first.outstanding = 0
    scene.step(3)
    (batch,) = scene.delivery.window.to_hand_over()
    assert ([one[0] for one in batch.rows], scene.delivery is first) == ([4], True)
    scene.state = NotOwnerError()
    first.settle(Outcome.DELIVERED)
    scene.step(2)
    assert [type(error) for error in scene.lost] == [NotOwnerError]


def test_a_server_that_became_a_standby_is_told_as_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_recovery(_conn: object, **_given: object) -> ReplayPage:
        raise StandbyError("a standby")

    monkeypatch.setattr(module, "read_replay_page", in_recovery)
    scene.replay.want(ORDER.replay_id)
    scene.step(2)
    assert [type(error) for error in scene.lost] == [StandbyError]


def test_who_leaves_reads_nothing_more_and_is_done_when_the_last_answer_is_told(scene: Scene) -> None:
    scene.begun().replay.leave()
    assert scene.delivery.held
    scene.delivery.settle(Outcome.DELIVERED, Outcome.DELIVERED)
    assert not scene.replay.is_done or scene.replay.outstanding == 0
    scene.step(2)
    assert [(counts(progress), what) for progress, what, _ in scene.told] == [((2, 2, 0, 0, 0), None)]
    assert scene.replay.is_done
    scene.step(3)
    assert scene.delivery.outstanding == 0


def test_another_topic_stands_in_the_place_of_those_of_rules_and_says_nothing_of_their_keys() -> None:
    config = PipelineConfig.model_validate(
        {
            "sink_type": "kafka",
            "brokers": "b:9092",
            "topic": "a",
            "dlq": {"on_error": "stop"},
            "routing": {"rules": [{"when": "a", "topic": "b", "message_key": "k"}]},
        }
    )
    changed = config_of(config, "again")
    assert (changed.topic, [(rule.topic, rule.message_key) for rule in changed.routing.rules]) == (
        "again",
        [("again", "k")],
    )
    assert changed.dlq.on_error == "continue"
    assert config_of(config, None).routing == config.routing


def test_given_headers_stand_once_and_the_replays_own_cannot_be_given() -> None:
    record = Record("t", b"k", b"v", [("a", b"1"), ("b", b"2"), ("a", b"3")], 0)
    shape = with_headers(lambda _row: record, 7, {"a": "x", "pg_tide_replay": "8"})
    made = shape(row(1))
    assert made is not None
    assert made.headers == [("b", b"2"), ("a", b"x"), ("pg_tide_replay", b"7")]
    assert with_headers(lambda _row: None, 7, {})(row(1)) is None


def test_of_several_limits_the_tightest_holds_and_each_is_paid() -> None:
    now = 0.0
    wide, tight = TokenBucket(100, 100, lambda: now), TokenBucket(10, 10, lambda: now)
    both = AllOf([wide, tight])
    assert both.available() == 10
    both.take(10)
    assert (both.available(), wide.available(), tight.available()) == (0, 90, 0)
    now = 1.0
    assert both.available() == 10
