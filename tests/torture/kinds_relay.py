"""What happens to relays, and what operators ask of them while they run."""

import signal
import time

from torture.kinds import Fault
from torture.scene import LEASE_MS, REQUEST_TIMEOUT_MS

TAKE_OVER_S = (LEASE_MS + REQUEST_TIMEOUT_MS) / 1000
HOUR = 3600
PRODUCER_STARTS_S = 2.0


class _OfRelays(Fault):
    place = "relay"


class OwnerKilled(_OfRelays):
    kind = "relay: kill -9 of the owner"
    holds_s = (0.0, 0.5)

    def begin(self) -> None:
        self.scene.relays.pop(self.scene.owner()).kill()

    def end(self) -> None:
        self.scene.start_missing_relays()


class AllKilled(OwnerKilled):
    kind = "relay: kill -9 of both"

    def begin(self) -> None:
        for name in list(self.scene.relays):
            self.scene.relays.pop(name).kill()


class OwnerStopped(OwnerKilled):
    kind = "relay: SIGTERM, the other takes over"

    def begin(self) -> None:
        name = self.scene.owner()
        self.scene.relays[name].signal(signal.SIGTERM)
        self.leaving = self.scene.relays.pop(name)

    def end(self) -> None:
        self.leaving.wait(120.0)
        super().end()


class _Frozen(_OfRelays):
    def begin(self) -> None:
        self.relay = self.scene.relays[self.scene.owner()]
        self.relay.pause()

    def end(self) -> None:
        self.relay.resume()


class FrozenShort(_Frozen):
    kind = "relay: frozen, shorter than its lease"
    holds_s = (0.05, LEASE_MS / 2000)


class FrozenLong(_Frozen):
    kind = "relay: frozen beyond its lease, the other takes over"
    holds_s = (TAKE_OVER_S + 0.5, TAKE_OVER_S + 2.5)


class _Stepped(_OfRelays):
    seconds = 0
    place = "clock"
    holds_s = (0.3, 1.0)
    needs_clock = True

    def begin(self) -> None:
        # Not while a producer starts: see "What is not promised" in docs/reliability.md
        self.scene.wait_until_it_delivers()
        time.sleep(PRODUCER_STARTS_S)
        self.scene.wait_until_it_delivers()
        if self.scene.clock is not None:
            self.scene.clock.step(self.seconds)

    def end(self) -> None:
        if self.scene.clock is not None:
            self.scene.clock.step(0)


class ClockForward(_Stepped):
    kind = "relay: clock an hour ahead, and back"
    seconds = HOUR


class ClockBack(_Stepped):
    kind = "relay: clock an hour behind, and back"
    seconds = -HOUR


class _OfConfiguration(Fault):
    place = "configuration"


class Reconfigured(_OfConfiguration):
    kind = "configuration: another batch_size and linger_ms"

    def begin(self) -> None:
        self.scene.configure(
            batch_size=self.chance.choice((5, 20, 50, 500, 2000)), linger_ms=self.chance.choice((0, 5, 50))
        )


class Disabled(_OfConfiguration):
    kind = "configuration: pipeline disabled, enabled again"
    holds_s = (0.0, 1.5)

    def begin(self) -> None:
        self.scene.ask("select tide.relay_disable(%s)", self.scene.steady.pipeline)

    def end(self) -> None:
        self.scene.ask("select tide.relay_enable(%s)", self.scene.steady.pipeline)


class Rewound(_OfConfiguration):
    kind = "configuration: group rewound by up to 500 messages"
    repeats = True

    def begin(self) -> None:
        # From what is delivered, not from what waits: else there would be nothing to send again.
        ((newest,),) = self.scene.ask(
            "select coalesce(max(m.id), 0) from tide.message m, tide.consumer_groups g"
            " where g.pipeline = %s and pg_visible_in_snapshot(m.xid, g.prev)",
            self.scene.steady.pipeline,
        )
        target = max(1, newest - self.chance.randrange(1, 500))
        self.scene.ask(
            "select tide.group_rewind(%s, %s, to_id => %s)",
            f"group {self.scene.steady.topic}",
            self.scene.steady.outbox,
            target,
        )

    def end(self) -> None:
        """The pass comes to its end, so that what it repeats is not put down to the next fault."""
        self.scene.wait_until_it_was_sent_again()
