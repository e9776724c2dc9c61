"""Reads a topic with Flink SQL, from its beginning to its end as it is now, and prints each row that Flink makes of it.

One argument, JSON: bootstrap, topic, format, options (of the format, without its name), columns (as in CREATE TABLE),
jars. A line of JSON a row: its kind (+I, -U, +U, -D) and the text of each value. Runs in an environment of its own,
which has apache-flink; nothing of this repository is imported.
"""

import json
import sys

from pyflink.table import EnvironmentSettings, TableEnvironment


def main(question: dict) -> None:
    """Ask and print."""
    environment = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    configuration = environment.get_config()
    configuration.set("pipeline.jars", ";".join(question["jars"]))
    configuration.set("parallelism.default", "1")
    configuration.set("table.local-time-zone", "UTC")
    options = {
        "connector": "kafka",
        "properties.bootstrap.servers": question["bootstrap"],
        "topic": question["topic"],
        "scan.startup.mode": "earliest-offset",
        "scan.bounded.mode": "latest-offset",
        "value.format": question["format"],
        **{f"value.{question['format']}.{name}": value for name, value in question["options"].items()},
    }
    listed = ", ".join(f"'{name}' = '{value}'" for name, value in options.items())
    environment.execute_sql(f"CREATE TABLE judged ({question['columns']}) WITH ({listed})")
    # text, so that no type of Python's stands between Flink's value and the answer
    query = f"SELECT {question.get('select', '*')} FROM judged"
    with environment.execute_sql(query).collect() as rows:
        for row in rows:
            values = [None if value is None else str(value) for value in row]
            print(json.dumps({"kind": str(row.get_row_kind()), "values": values}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
