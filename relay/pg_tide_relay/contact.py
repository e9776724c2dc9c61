"""Is the cluster there, and does it take what it is given? Told from reports, events and silence.

An idle connection that a broker closes looks like a broker that went away; only silence while something is
waiting for an answer is a trouble.
"""

from collections.abc import Callable
from dataclasses import replace

from pg_tide_relay.delivery_state import Status, Trouble
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.produce import ProducerEvent

# No broker connected and no acknowledgement: said after this long, not after a whole request_timeout_ms.
_UNREACHABLE_S = 2.0

# A quota makes a producer wait now and then; this long without it is an end.
_UNTHROTTLED_S = 10.0


class Contact:
    """Keeps a delivery's state true to what is heard of the cluster."""

    def __init__(
        self, status: Status, clock: Callable[[], float], request_timeout_s: float, brokers: str = ""
    ) -> None:
        """``brokers``: their addresses, for people."""
        self._brokers = brokers
        self._status = status
        self._clock = clock
        self._request_timeout_s = request_timeout_s
        self._until_acknowledged = False
        self._throttled_until: float | None = None
        self._is_explained = False  # why the cluster is away, in the state
        self.is_refused: bool
        """Whether the brokers refuse the connections' credentials, and nothing was answered since."""
        self.begin()

    def begin(self) -> None:
        """A new producer: nothing is known."""
        self._reported = 0
        self._quiet_since = self._clock()
        self._brokers_down = False
        self.is_refused = False
        self._connection: ProducerEvent | None = None  # the last thing heard about connections

    def hear(self, event: ProducerEvent) -> None:
        """Something that no report tells, and that does not end the producer."""
        if event.throttled_ms:
            self._throttled_until = self._clock() + event.throttled_ms / 1000 + _UNTHROTTLED_S
            self._status.throttled(event.throttled_ms)
        elif event.error_class is ErrorClass.CREDENTIALS:
            self.is_refused = True
            self._status.trouble(Trouble(error_class=event.error_class, code=event.code, cause=event.cause))
        elif event.code == "_ALL_BROKERS_DOWN":
            self._brokers_down = True
        else:
            self._connection = event

    def notice(self, handed_over: int, outstanding: int) -> bool:
        """Compare with the last look; tell whether reports have come."""
        now = self._clock()
        if self._throttled_until is not None and now >= self._throttled_until:
            self._throttled_until = None
            self._status.throttled(None)
        reported = handed_over - outstanding
        progress = reported > self._reported
        if progress:
            self._reported = reported
            self._brokers_down = False
        if progress or outstanding == 0:
            self._quiet_since = now
        patience_s = _UNREACHABLE_S if self._brokers_down else self._request_timeout_s
        if now - self._quiet_since > min(patience_s, self._request_timeout_s):
            self.away(Trouble(error_class=ErrorClass.CLUSTER_AWAY, cause="no broker acknowledges anything"))
        return progress

    def acknowledged(self) -> None:
        """Messages were delivered."""
        self.is_refused = False
        self._until_acknowledged = False
        self._status.running()

    def answered(self) -> None:
        """Questions about topic and schemas were answered well; says nothing about the right to write."""
        self.is_refused = False
        if not self._until_acknowledged:
            self._status.running()

    def refused(self, trouble: Trouble) -> None:
        """Messages were refused; only a delivered one proves that this is over."""
        self._until_acknowledged = True
        self._status.trouble(trouble)

    def unanswered(self, trouble: Trouble) -> None:
        """A question about a topic or a schema was answered with a trouble, or not at all."""
        if trouble.error_class is ErrorClass.CLUSTER_AWAY and not trouble.of_registry:
            self.away(trouble)
        else:
            self._status.trouble(trouble)

    def nothing_to_do(self) -> None:
        """Nothing waits for the cluster, so nothing says that it is away."""
        if self._status.state.error_class is ErrorClass.CLUSTER_AWAY:
            self._status.running()

    def away(self, trouble: Trouble) -> None:
        """Nobody answers: with the best cause known, and never in place of a more particular trouble."""
        known = self._status.state
        explained = self._explained(trouble)
        if known.name is StateName.RUNNING:
            self._status.trouble(explained or trouble)
        elif (
            known.error_class is ErrorClass.CLUSTER_AWAY and not self._is_explained and explained is not None
        ):
            self._status.trouble(explained)
        else:
            return
        self._is_explained = explained is not None

    def _explained(self, trouble: Trouble) -> Trouble | None:
        """The same with what was heard of the connections, if anything was."""
        heard = self._connection
        if heard is not None:
            return replace(trouble, code=heard.code, cause=heard.cause)
        if self._brokers_down:
            # Refused connections and unknown names are heard of; this is what is left.
            cause = f"every connection to {self._brokers} is closed without an answer"
            return replace(trouble, code="_ALL_BROKERS_DOWN", cause=cause)
        return None
