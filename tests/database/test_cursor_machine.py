"""Publishers, a relay, crashes and an administrator in any order, against a model of what must be delivered.

The model knows which messages are committed, which are settled, and which were read since the last crash. In any
order of events: nothing uncommitted is read, nothing settled is read again unless it was rewound, nothing is read
twice in one life of the relay, no message of a locked entity is read before its predecessors were, and once
everything has been read and settled, everything committed has been.
"""

from dataclasses import dataclass, field
from itertools import count

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from database.reading import Scene, Session
from pg_tide_dev.databases import Database
from pg_tide_relay.cursor import Position

PUBLISHERS = st.integers(0, 2)
ENTITIES = st.integers(0, 1)
_numbers = count(1)


@dataclass
class Transaction:
    """What an open or prepared transaction has done, each with the depth of savepoints at which it was done."""

    depth: int = 0
    messages: list[tuple[int, int | None, int]] = field(default_factory=list)  # id, entity, depth
    locks: dict[int, int] = field(default_factory=dict)  # depth by entity

    def roll_back_to(self, depth: int) -> None:
        """Undo what was done behind the savepoint, which stays."""
        self.messages = [message for message in self.messages if message[2] < depth]
        self.locks = {entity: at for entity, at in self.locks.items() if at < depth}
        self.depth = depth


class Machine(RuleBasedStateMachine):
    """See the module's text."""

    scene: Scene  # one for all runs: each has a group of its own, which starts at the end
    sessions: list[Session]

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[int, Transaction] = {}
        self.prepared: dict[str, Transaction] = {}
        self.committed: dict[int, int | None] = {}  # entity by message id
        self.settled: set[int] = set()  # never to be read again, unless rewound
        self.passed: set[int] = set()  # of these, what prev stands for
        self.read: list[int] = []  # since the relay came to life
        self.steps: list[
            tuple[Position, int]
        ] = []  # positions that may be settled, and how much of `read` each covers
        self.ever: set[int] = set()  # read at some time, or skipped

    @initialize(size=st.integers(1, 3))
    def begin(self, size: int) -> None:
        self.group = f"group {next(_numbers)}"
        group_id = self.scene.add_group(self.group, start="latest")
        self.relay = self.scene.relay(size=size, group_id=group_id)
        self.relay.acquire()

    # -- publishers ---------------------------------------------------------------------------------

    def transaction(self, number: int) -> tuple[Session, Transaction]:
        """A publisher and its transaction, begun if need be."""
        if number not in self.open:
            self.sessions[number].begin()
            self.open[number] = Transaction()
        return self.sessions[number], self.open[number]

    @rule(number=PUBLISHERS, what=st.sampled_from(["xid", "plain", "plain", "plain"]))
    def publish(self, number: int, what: str) -> None:
        session, transaction = self.transaction(number)
        if what == "xid":
            session.take_xid()
        else:
            transaction.messages.append((session.publish(), None, transaction.depth))

    @rule(number=PUBLISHERS, entity=ENTITIES)
    def lock_and_publish(self, number: int, entity: int) -> None:
        session, transaction = self.transaction(number)
        holders = [*self.open.values(), *self.prepared.values()]
        if any(entity in other.locks for other in holders if other is not transaction):
            return
        session.run("update entity set n = n + 1 where id = %s", [entity])
        transaction.locks.setdefault(entity, transaction.depth)
        transaction.messages.append((session.publish(key=str(entity)), entity, transaction.depth))

    @rule(number=PUBLISHERS, depth=st.integers(0, 2))
    def savepoint(self, number: int, depth: int) -> None:
        session, transaction = self.transaction(number)
        if 0 < depth <= transaction.depth:
            session.rollback_to(f"s{depth}")
            transaction.roll_back_to(depth)
        else:
            transaction.depth += 1
            session.savepoint(f"s{transaction.depth}")

    @rule(number=PUBLISHERS, how=st.sampled_from(["commit", "commit", "commit", "rollback", "prepare"]))
    def end(self, number: int, how: str) -> None:
        if number not in self.open:
            return
        session, transaction = self.sessions[number], self.open.pop(number)
        if how == "prepare":
            name = f"prepared {next(_numbers)} in {self.scene.outbox}"
            session.prepare(name)
            self.prepared[name] = transaction
        else:
            session.run(how)
            self.take_in(transaction if how == "commit" else Transaction())

    @rule(commit=st.booleans())
    def end_a_prepared_one(self, commit: bool) -> None:
        if self.prepared:
            name = next(iter(self.prepared))
            self.scene.admin.run(f"{'commit' if commit else 'rollback'} prepared '{name}'")
            transaction = self.prepared.pop(name)
            self.take_in(transaction if commit else Transaction())

    @rule(count=st.integers(1, 4))
    def others_publish(self, count: int) -> None:
        for _ in range(count):
            self.committed[self.scene.admin.publish()] = None

    def take_in(self, transaction: Transaction) -> None:
        """Its messages are committed now."""
        self.committed |= {message: entity for message, entity, _ in transaction.messages}

    # -- relay --------------------------------------------------------------------------------------

    @rule()
    def read_a_page(self) -> None:
        self.page()

    def page(self) -> bool:
        """Read a page; False: there is nothing to read."""
        if not self.relay.is_reading and not self.relay.open_window():
            return False
        before = self.relay.at
        rows = [row[0] for row in self.relay.fetch().rows]
        self.check(rows)
        for number, row in enumerate(rows[:-1], 1):
            self.steps.append((before.at(row), len(self.read) + number))
        self.read += rows
        self.steps.append((self.relay.at, len(self.read)))
        return True

    def check(self, rows: list[int]) -> None:
        """What was just read, against the model."""
        assert rows == sorted(set(rows))
        for row in rows:
            assert row in self.committed, "not committed"
            assert row not in self.settled, "settled before"
            assert row not in self.read, "read before"
            entity = self.committed[row]
            if entity is not None:
                earlier = {i for i, its in self.committed.items() if its == entity and i < row}
                assert earlier <= self.ever, "read before its predecessor"
            self.ever.add(row)

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        if self.steps:
            self.settle_step(data.draw(st.integers(0, len(self.steps) - 1)))

    def settle_step(self, number: int) -> None:
        """Settle one of the positions that was read up to, and with it all before."""
        position, covered = self.steps[number]
        self.relay.settle(position)
        self.settled |= set(self.read[:covered])
        # The end of a window that was passed over on the way counts, too.
        for step, up_to in self.steps[: number + 1]:
            if step.cur is None and not step.replaying:
                self.passed |= set(self.read[:up_to])
        self.steps = self.steps[number + 1 :]

    def catch_up(self) -> None:
        """Read and settle all there is: all that is committed has been read since it was last wanted."""
        while self.page():
            self.settle_step(len(self.steps) - 1)
        if self.steps:
            self.settle_step(len(self.steps) - 1)
        assert self.settled == set(self.committed)

    def start_over(self) -> None:
        """The relay reads the cursor again."""
        self.relay.forget()
        self.relay.acquire()
        self.read, self.steps = [], []

    # -- administrator ------------------------------------------------------------------------------

    @rule(data=st.data(), what=st.sampled_from(["crash", "rewind", "skip", "catch up", "nothing"]))
    def disturb(self, data: st.DataObject, what: str) -> None:
        if what == "crash":
            self.start_over()
        elif what == "rewind":
            self.rewind(data)
        elif what == "skip":
            self.skip()
        elif what == "catch up":
            self.catch_up()

    def rewind(self, data: st.DataObject) -> None:
        """To any message that is committed."""
        if not self.committed:
            return
        to_id = data.draw(st.sampled_from(sorted(self.committed)))
        replaying = self.scene.cursor(self.relay.claim.group_id)["replay_last"] is not None
        call = "select tide.group_rewind(%s, %s, to_id => %s)"
        (start,) = self.scene.admin.run(call, [self.group, self.scene.outbox, to_id])[0]
        kept = self.settled if replaying else self.passed
        self.settled = {row for row in kept if row < start}
        self.passed = set(self.settled)
        self.start_over()

    def skip(self) -> None:
        """To the end."""
        self.scene.admin.run("select tide.group_skip(%s, %s)", [self.group, self.scene.outbox])
        self.settled, self.passed = set(self.committed), set(self.committed)
        self.ever |= set(self.committed)
        self.start_over()

    def teardown(self) -> None:
        if hasattr(self, "relay"):
            for number in list(self.open):
                self.end(number, "rollback")
            while self.prepared:
                self.end_a_prepared_one(commit=False)
            self.catch_up()
            self.scene.end(self.relay)


def test_any_order_of_publishing_reading_crashing_and_rewinding_keeps_the_promises(
    database: Database,
) -> None:
    """See the module's text."""
    with Scene(database.dsn, outbox=f"machine {next(_numbers)}") as scene:
        scene.admin.run("create table entity (id int primary key, n int not null)")
        scene.admin.run("insert into entity select generate_series(0, 2), 0")
        sessions = [scene.session() for _ in range(4)]
        run_state_machine_as_test(
            type("MachineHere", (Machine,), {"scene": scene, "sessions": sessions}),
            settings=settings(
                max_examples=100,
                stateful_step_count=60,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
