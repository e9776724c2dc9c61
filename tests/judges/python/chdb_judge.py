"""Asks chDB, which is ClickHouse as a library, one query and prints each row of the answer as a line of JSON.

One argument, JSON: query, settings. 64 bit integers and decimals are printed as they are. Runs in an environment of
its own, which has chdb; nothing of this repository is imported.
"""

import json
import sys

import chdb

QUOTED = {"output_format_json_quote_64bit_integers": 1, "output_format_json_quote_decimals": 1}


def main(question: dict) -> None:
    """Ask and print."""
    settings = {**QUOTED, **question.get("settings", {})}
    listed = ", ".join(f"{name} = '{value}'" for name, value in settings.items())
    print(chdb.query(f"{question['query']} SETTINGS {listed}", "JSONEachRow"))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
