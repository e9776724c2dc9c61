"""One container of a run, through testcontainers, whose reaper removes it when the run dies.

Not imported unless a container engine may be there: the library is large.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DEFAULT_SOCKET = Path("/var/run/docker.sock")
PING_SECONDS = 5


def docker_answers() -> bool:
    """Whether a container engine is there and answers."""
    if not os.environ.get("DOCKER_HOST") and not DEFAULT_SOCKET.exists():
        return False
    import docker  # noqa: PLC0415  (large, and useless without an engine)

    try:
        client = docker.from_env(timeout=PING_SECONDS)
    except docker.errors.DockerException:
        return False
    with contextlib.closing(client):
        try:
            return bool(client.ping())
        except docker.errors.DockerException:
            return False


class Container:
    """A container whose ports are published on the loopback interface, the same ones after a restart."""

    def __init__(
        self,
        image: str,
        *,
        ports: Mapping[int, int],
        env: Mapping[str, str],
        command: Sequence[str] | None = None,
        network: Any = None,
        alias: str | None = None,
    ) -> None:
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415

        container = DockerContainer(image)
        for inside, outside in ports.items():
            # the engine's client takes a pair of address and port, which the library's annotation leaves out
            container = container.with_bind_ports(inside, ("127.0.0.1", outside))  # type: ignore[arg-type]
        for name, value in env.items():
            container = container.with_env(name, value)
        if command is not None:
            container = container.with_command(list(command))
        if network is not None and alias is not None:
            container = container.with_network(network).with_network_aliases(alias)
        self._container = container.start()

    @property
    def _engine_side(self) -> Any:
        return self._container.get_wrapped_container()

    def start(self) -> None:
        """Start the container again."""
        self._engine_side.start()

    def end(self, signal_name: str) -> None:
        """Signal the container's first process and wait until it has ended."""
        self._engine_side.kill(signal_name)
        self._engine_side.wait()

    def remove(self) -> None:
        """End the container and remove it with what it stored."""
        self._container.stop(force=True, delete_volume=True)

    def pause(self) -> None:
        """Freeze the container's processes."""
        self._engine_side.pause()

    def resume(self) -> None:
        """Let them go on."""
        self._engine_side.unpause()

    def execute(self, command: Sequence[str]) -> str:
        """Run a program inside and return what it printed."""
        return bytes(self._container.exec(list(command)).output).decode()
