"""How relays share cursors: a model of several relays that look one after the other, and what must hold at rest."""

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_tide_relay.cursor import Unit
from pg_tide_relay.fair_share import FairShare, UnitSeen, share_out

RELAYS_MAX, UNITS_MAX = 5, 12
LOOKS_TO_REST = 60


def token(number: int) -> UUID:
    return UUID(int=number)


def unit(number: int) -> Unit:
    return Unit(number, 0)


@dataclass
class Model:
    """The database's view, and relays that act on it by the rule and by nothing else."""

    able: dict[int, set[int]]  # what each living relay could drive
    units: int
    owner: dict[int, int] = field(default_factory=dict)
    giving: dict[int, int] = field(default_factory=dict)  # relay by unit that it has begun to sign off from
    given: Counter[int] = field(default_factory=Counter)

    def seen(self) -> list[UnitSeen]:
        return [
            UnitSeen(
                unit=unit(number),
                owner=token(self.owner[number]) if number in self.owner else None,
                able=frozenset(token(relay) for relay, able in self.able.items() if number in able),
            )
            for number in range(self.units)
        ]

    def look(self, relay: int, seen: list[UnitSeen]) -> bool:
        """One relay does what the rule says of what it has seen, now or earlier; whether anything changed."""
        if relay not in self.able:
            return False
        giving = {unit(number) for number, by in self.giving.items() if by == relay}
        share = share_out(seen, token(relay), giving=giving)
        before = dict(self.owner), dict(self.giving)
        for wanted in share.mine:
            self.owner.setdefault(wanted.pipeline_id, relay)
        for gone in share.gives:
            if self.owner.get(gone.pipeline_id) == relay and gone.pipeline_id not in self.giving:
                self.giving[gone.pipeline_id] = relay
                self.given[gone.pipeline_id] += 1
        return before != (self.owner, self.giving)

    def sign_off(self, number: int) -> None:
        """What was begun to be given back is settled and free."""
        if self.owner.get(number) == self.giving.pop(number, None):
            self.owner.pop(number, None)

    def die(self, relay: int) -> None:
        """Killed, and its leases have run out."""
        del self.able[relay]
        self.owner = {number: by for number, by in self.owner.items() if by != relay}
        self.giving = {number: by for number, by in self.giving.items() if by != relay}

    def rest(self, order: list[int]) -> None:
        """All look in turn, and finish what they began, until nothing changes."""
        self.given.clear()
        for _ in range(LOOKS_TO_REST):
            changed = [self.look(relay, self.seen()) for relay in order]
            for number in list(self.giving):
                self.sign_off(number)
                changed.append(True)
            if not any(changed):
                return
        pytest.fail(f"no rest: {self}")

    def loads(self) -> dict[int, int]:
        return {relay: sum(by == relay for by in self.owner.values()) for relay in self.able}


def check(model: Model) -> None:
    """Everything is driven that can be, by who can; nobody could be relieved by another."""
    loads = model.loads()
    for number in range(model.units):
        able = {relay for relay, served in model.able.items() if number in served}
        assert (model.owner.get(number) in able) if able else number not in model.owner
        if able:
            assert loads[model.owner[number]] - min(loads[relay] for relay in able) <= 1


@settings(deadline=None)
@given(st.integers(1, RELAYS_MAX), st.integers(0, UNITS_MAX), st.data())
def test_relays_that_can_drive_all_share_evenly_and_move_as_little_as_possible(
    relays: int, units: int, data: st.DataObject
) -> None:
    """From any distribution; each cursor is given back once at most, and no more of them than must be."""
    everything = set(range(units))
    model = Model({relay: set(everything) for relay in range(relays)}, units)
    model.owner = {
        number: owner
        for number in everything
        if (owner := data.draw(st.one_of(st.none(), st.integers(0, relays - 1)))) is not None
    }
    before, free = model.loads(), units - len(model.owner)
    model.rest(data.draw(st.permutations(range(relays))))
    check(model)
    loads = model.loads()
    assert max(loads.values()) - min(loads.values()) <= 1
    assert set(model.given.values()) <= {1}
    received = sum(max(0, loads[relay] - before[relay]) for relay in loads)
    assert sum(model.given.values()) == received - free


@settings(max_examples=200, deadline=None)
@given(st.integers(2, RELAYS_MAX), st.integers(1, UNITS_MAX), st.data())
def test_whatever_happens_all_comes_to_rest_with_everything_driven(
    relays: int, units: int, data: st.DataObject
) -> None:
    """Relays come, die, can drive a part, and act on what they saw some time ago; then there is quiet."""
    sets = st.sets(st.integers(0, units - 1))
    model = Model({relay: data.draw(sets) for relay in range(relays)}, units)
    memory = {relay: model.seen() for relay in range(relays)}
    for _ in range(data.draw(st.integers(0, 25))):
        relay = data.draw(st.integers(0, relays - 1))
        match data.draw(st.sampled_from(("look", "look", "late", "off", "off", "die", "come"))):
            case "look":
                memory[relay] = model.seen()
                model.look(relay, memory[relay])
            case "late":
                model.look(relay, memory[relay])
            case "off" if model.giving:
                model.sign_off(data.draw(st.sampled_from(sorted(model.giving))))
            case "die" if relay in model.able:
                model.die(relay)
            case "come" if relay not in model.able:
                model.able[relay] = data.draw(sets)
    for number, owner in list(model.owner.items()):
        if number not in model.able[owner]:
            del model.owner[number]
    model.rest(data.draw(st.permutations(range(relays))))
    check(model)
    at_rest = dict(model.owner)
    model.rest(list(range(relays)))
    assert (model.owner, model.given) == (at_rest, Counter())


def seen(number: int, owner: int | None, *able: int) -> UnitSeen:
    return UnitSeen(
        unit=unit(number),
        owner=None if owner is None else token(owner),
        able=frozenset(token(relay) for relay in able),
    )


def test_a_cursor_whose_owner_died_is_nobodys_before_its_lease_is_over() -> None:
    dead = seen(1, 9, 1, 2)
    assert share_out([dead], token(1)).mine == frozenset()


def test_a_relay_that_can_not_drive_what_is_too_much_elsewhere_is_not_waited_for() -> None:
    """Three cursors that only relay 1 can drive stay there, though relay 2 has none."""
    units = [seen(number, 1, 1) for number in range(3)] + [seen(3, None, 1, 2)]
    assert share_out(units, token(1)).gives == frozenset()
    assert share_out(units, token(2)).mine == {unit(3)}


def test_what_can_not_be_given_back_now_is_kept_and_another_goes() -> None:
    units = [seen(number, 1, 1, 2) for number in range(2)]
    assert share_out(units, token(1)).gives == {unit(0)}
    assert share_out(units, token(1), kept={unit(0)}).gives == {unit(1)}
    assert share_out(units, token(1), giving={unit(1)}).gives == {unit(1)}


def test_a_process_counts_itself_though_the_database_does_not_know_it() -> None:
    """Another one goes by its id, or it has just begun: what nobody drives is not left alone."""
    share = FairShare(token(1)).decide([seen(1, None), seen(2, None)], runs={1}, kept=(), giving=(), now=0.0)
    assert share.mine == {unit(1)}


def test_a_process_does_not_take_what_it_can_not_drive_any_more_though_the_database_says_so() -> None:
    share = FairShare(token(1)).decide([seen(1, None, 1)], runs=(), kept=(), giving=(), now=0.0)
    assert share.mine == frozenset()


def test_a_cursor_that_stays_free_is_taken_by_whoever_can_drive_it() -> None:
    """The relay that was to have it hangs; once it was taken, patience begins anew."""
    rule = FairShare(token(2))
    free = [seen(1, None, 1, 2)]

    def mine(units: list[UnitSeen], now: float) -> frozenset[Unit]:
        return rule.decide(units, runs={1}, kept=(), giving=(), now=now).mine

    assert not mine(free, 10.0)
    assert not mine(free, 12.9)
    assert mine(free, 13.0) == {unit(1)}
    assert not mine([seen(1, 1, 1, 2)], 13.1)
    assert not mine(free, 13.2)
