"""What the operator decides about a relay process; everything about pipelines is configured in SQL."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RelaySettings:
    """Settings of ``pg-tide run``, complete and validated before anything connects.

    A value that is out of range raises ValueError with the name of the setting.
    """

    dsn: str
    """Handed to libpq as it is, never printed; empty: libpq's own environment (PGHOST, PGSERVICE, ...)."""

    relay_id: str
    """Names this process in logs, in tide.relays and as the owner of its pipelines; 1 to 255 bytes."""

    lease_ms: int = 10_000
    """How long a pipeline stays ours after the last renewal; a take-over waits at least that long."""

    drain_timeout_s: float = 30.0
    """Longest time from the first signal to the end: flush, settle what was acknowledged, leave."""

    allow_env: tuple[str, ...] = ()
    """Patterns of further environment variables that pipelines may refer to with ${env:NAME}."""

    poll_interval_ms: float = 5.0
    """Pause between two looks at an idle database: half of it is added to an idle message's latency."""

    pipelines: tuple[str, ...] = ()
    """Only these pipelines; empty: every enabled one."""

    installation: str = ""
    """Name of the installation that this relay is for; empty: one that has no name."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.relay_id.encode()) <= 255:
            raise ValueError("relay_id: must have 1 to 255 bytes")
        if not 1_000 <= self.lease_ms <= 600_000:
            raise ValueError("lease_ms: must be between 1000 and 600000")
        if not 0 <= self.drain_timeout_s <= 3_600:
            raise ValueError("drain_timeout_s: must be between 0 and 3600")
        if not 1 <= self.poll_interval_ms <= 60_000:
            raise ValueError("poll_interval_ms: must be between 1 and 60000")
        if len(self.installation.encode()) > 255:
            raise ValueError("installation: must have at most 255 bytes")
        if not all(self.allow_env):
            raise ValueError("allow_env: a pattern must not be empty")
        if not all(self.pipelines):
            raise ValueError("pipelines: a name must not be empty")

    def __repr__(self) -> str:
        """Without the connection string: it may hold a password."""
        return f"RelaySettings(relay_id={self.relay_id!r}, pipelines={self.pipelines!r})"
