"""Debezium's PostgreSQL connector on a database: what it writes of the statements that run while it streams."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlencode, urlsplit

from judges.tools import Judges

Options = Mapping[str, str]


class Written(NamedTuple):
    """A record of the connector: key and value as JsonConverter writes them, with schemas."""

    topic: str
    key: Any
    value: Any  # None: a tombstone


def written(
    judges: Judges,
    dsn: str,
    folder: Path,
    connectors: Mapping[str, Options],
    statements: Sequence[str],
    records: int,
) -> dict[str, list[Written]]:
    """What connectors of these names and options write of the statements, each so many records.

    A connector's name is its topic.prefix, too; two of one name would share what the JVM knows them by.
    """
    server = urlsplit(dsn)
    database = server.path.removeprefix("/")
    login = {"user": server.username or "", "password": unquote(server.password or "")}
    question = {
        "url": f"jdbc:postgresql://{server.hostname}:{server.port}/{database}?{urlencode(login)}",
        "statements": statements,
        "records": records,
        "connectors": {
            name: {
                "name": name,
                "topic.prefix": name,
                "database.hostname": server.hostname,
                "database.port": str(server.port),
                "database.user": login["user"],
                "database.password": login["password"],
                "database.dbname": database,
                "plugin.name": "pgoutput",
                "slot.name": f"{database}_{number}",
                "slot.drop.on.stop": "true",
                "publication.name": f"{database}_{number}",
                "publication.autocreate.mode": "filtered",
                "snapshot.mode": "no_data",
                "poll.interval.ms": "50",
                **options,
            }
            for number, (name, options) in enumerate(connectors.items())
        },
    }
    asked = folder / "question.json"
    asked.write_text(json.dumps(question), encoding="utf-8")
    found: dict[str, list[Written]] = {name: [] for name in connectors}
    for line in judges.java("ConnectorJudge", asked):
        key, value = (None if line[part] is None else json.loads(line[part]) for part in ("key", "value"))
        found[line["connector"]].append(Written(line["topic"], key, value))
    return found
