"""The files for containers, read without a container engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pg_tide_dev.kafka_external import IMAGE

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))[
    "services"
]


def uv_versions(text: str) -> set[str]:
    """The versions of uv that a file pins."""
    return set(re.findall(r"uv==([\d.]+)", text))


def test_compose_has_the_servers_the_relay_and_a_profile_for_tests() -> None:
    """One command brings everything up; pgTAP runs only when it is asked for."""
    assert set(SERVICES) == {"postgres", "kafka", "install", "relay", "pgtap"}
    assert {name for name, service in SERVICES.items() if service.get("profiles")} == {"pgtap"}
    assert SERVICES["pgtap"]["profiles"] == ["test"]


@pytest.mark.parametrize("name", ["postgres", "kafka", "relay"])
def test_every_service_that_stays_up_has_a_health_check(name: str) -> None:
    """What waits for a service waits until it answers, not until it was started."""
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_services_wait_for_each_other_in_the_right_order() -> None:
    """The relay starts when the schema is installed and Kafka answers."""
    assert SERVICES["install"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert SERVICES["relay"]["depends_on"] == {
        "install": {"condition": "service_completed_successfully"},
        "kafka": {"condition": "service_healthy"},
    }


def test_ports_are_published_on_the_loopback_only() -> None:
    """A development database with a known password must not be open to the network."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_containers_and_packages_bring_the_same_kafka() -> None:
    """What works in one works in the other."""
    assert SERVICES["kafka"]["image"] == IMAGE


def test_the_image_runs_as_an_ordinary_user_without_a_volume() -> None:
    """All state is in PostgreSQL; the process needs no right of root."""
    last_stage = DOCKERFILE.split("\nFROM ")[-1]
    [user] = re.findall(r"^USER (\d+)$", last_stage, re.MULTILINE)
    assert int(user) > 0
    assert not re.search(r"^VOLUME", DOCKERFILE, re.MULTILINE)
    assert last_stage.startswith("python:3.13-slim")


def test_the_image_copies_files_that_exist_and_reach_the_engine() -> None:
    """A file that .dockerignore leaves out fails the build."""
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line[:1] == "!"
    }
    copied = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if re.match(r"COPY [^-]", line)]
    for name in (part for parts in copied for part in parts):
        assert (ROOT / name).exists(), name
        assert name.split("/")[0] in allowed, name


def test_the_image_and_the_set_up_use_the_same_uv() -> None:
    """Both read the same lock."""
    assert uv_versions(DOCKERFILE) == uv_versions((ROOT / "dev" / "bootstrap.py").read_text(encoding="utf-8"))
