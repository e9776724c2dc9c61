"""The parent of several relay processes: what it tells them, when it starts them again, how it ends."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pg_tide_relay import processes
from pg_tide_relay.config.pace_models import RetryConfig
from pg_tide_relay.processes import Processes, settings_of_children
from pg_tide_relay.settings import RelaySettings
from waiting import eventually

# Writes what it reads to a file of its own, ends at the order `obeys` and with the code `ends_with`.
CHILD = """
import json, pathlib, sys, time
notes = pathlib.Path(sys.argv[1]) / sys.argv[2]
settings = json.loads(sys.stdin.readline())[0]
notes.write_text(json.dumps(settings) + "\\n")
code = {codes}.get(settings["relay_id"])
if code is not None:
    sys.exit(code)
for line in sys.stdin:
    with notes.open("a") as file:
        file.write(line)
    if line.strip() == {obeys!r}:
        sys.exit(0)
with notes.open("a") as file:
    file.write("end of orders")
"""

NewParent = Callable[..., Processes]
SETTINGS = RelaySettings(dsn="host=geheim", relay_id="r", drain_timeout_s=0.0, pipelines=("a", "b"))


@pytest.fixture
def new_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewParent]:
    """A parent whose children are no relays, with short pauses."""
    monkeypatch.setattr(processes, "_PAUSES", RetryConfig.model_construct(backoff_ms=10, backoff_max_ms=20))
    parents: list[Processes] = []

    def make(count: int, *, obeys: str = "stop", codes: dict[str, int] | None = None) -> Processes:
        program = CHILD.format(obeys=obeys, codes=codes or {})
        monkeypatch.setattr(processes, "_COMMAND", (sys.executable, "-c", program, str(tmp_path)))
        parents.append(Processes(SETTINGS, count, log_format="json", log_level="info"))
        return parents[-1]

    yield make
    for parent in parents:
        for child in parent._children:
            if child.process is not None:
                child.process.kill()
                child.process.wait()


def notes(folder: Path) -> dict[str, list[str]]:
    """What each child has read: its settings, then orders."""
    return {path.name: path.read_text().splitlines() for path in folder.iterdir()}


def ends_after(parent: Processes, *signals: tuple[Callable[[], object], signal.Signals]) -> int:
    """Run the parent here, and signal this process each time something has come true; its exit code."""

    def play() -> None:
        for condition, number in signals:
            eventually(condition)
            os.kill(os.getpid(), number)

    player = threading.Thread(target=play)
    player.start()
    code = parent.run()
    player.join()
    return code


def test_children_have_the_settings_of_the_parent_and_names_of_their_own(
    new_parent: NewParent, tmp_path: Path
) -> None:
    """Settings go through the pipe: a connection string is in nobody's list of processes."""
    assert ends_after(new_parent(2), (lambda: len(notes(tmp_path)) == 2, signal.SIGTERM)) == 0
    told = {name: json.loads(lines[0]) for name, lines in notes(tmp_path).items()}
    assert set(told) == {"r-1", "r-2"}
    assert all(settings["relay_id"] == name for name, settings in told.items())
    assert told["r-1"] | {"relay_id": "r"} == json.loads(json.dumps(processes.asdict(SETTINGS)))


def test_a_second_signal_is_passed_on_as_now(new_parent: NewParent, tmp_path: Path) -> None:
    """Children that did not end at the first one; the exit code tells that the drain was cut short."""

    def all_have(order: str) -> bool:
        return [lines[-1] for lines in notes(tmp_path).values()] == [order] * 2

    first = (lambda: len(notes(tmp_path)) == 2, signal.SIGINT)
    second = (lambda: all_have("stop"), signal.SIGINT)
    assert ends_after(new_parent(2, obeys="now"), first, second) == 1
    assert all_have("now")


def test_a_child_that_obeys_nothing_is_killed(
    new_parent: NewParent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_END_WITHIN_S", 0.2)
    code = ends_after(new_parent(1, obeys="nothing"), (lambda: notes(tmp_path), signal.SIGTERM))
    assert code == 1


def test_a_child_that_dies_is_started_again_under_another_name(new_parent: NewParent, tmp_path: Path) -> None:
    """Again and again, with pauses; the others go on."""
    parent = new_parent(2, codes={"r-1": 1, "r-1.1": 0, "r-1.2": 1})
    assert ends_after(parent, (lambda: "r-1.3" in notes(tmp_path), signal.SIGTERM)) == 0
    assert set(notes(tmp_path)) == {"r-1", "r-1.1", "r-1.2", "r-1.3", "r-2"}
    assert parent._children[0].backoff.attempts == 3


def test_a_configuration_error_ends_all_and_nothing_is_started_again(
    new_parent: NewParent, tmp_path: Path
) -> None:
    assert new_parent(3, codes={"r-2": 78}).run() == 78
    found = notes(tmp_path)
    assert set(found) <= {"r-1", "r-2", "r-3"}
    assert all(lines[-1] == "stop" for name, lines in found.items() if name != "r-2")


def test_an_id_that_becomes_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="relay_id"):
        settings_of_children(RelaySettings(dsn="", relay_id="a" * 254), 2)
