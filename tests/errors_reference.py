"""Writes the generated tables of `docs/errors.md` from the relay's tables of errors.

`python tests/errors_reference.py` writes the page; a test tells when it is stale.
"""

from pathlib import Path

from confluent_kafka import KafkaError

from pg_tide_relay.error_policy import cure_for, state_for
from pg_tide_relay.kafka_errors import DEFAULT, MEANINGS
from pg_tide_relay.postgres_errors import REFUSALS, UNKNOWN, Action

PAGE = Path(__file__).parents[1] / "docs" / "errors.md"
MARKS = "<!-- generated: {} -->", "<!-- end of generated: {} -->"

DONE = {
    Action.WAIT: "all pipelines wait, a connection is tried every second; said in the log",
    Action.CONNECT_ANEW: "`{}`; goes on with a new connection",
    Action.TRY_AGAIN: "`{}`; tried again with growing pauses",
}


def page_text(page: str) -> str:
    """The page with its generated parts renewed."""
    for name, table in (("kafka", kafka_table()), ("postgresql", postgres_table())):
        begin, end = (mark.format(name) for mark in MARKS)
        before, rest = page.split(begin)
        page = f"{before}{begin}\n\n{table}\n\n{end}{rest.split(end)[1]}"
    return page


def kafka_table() -> str:
    """A row for codes that mean the same."""
    rows = [
        f"| {', '.join(f'`{KafkaError(code).name()}`' for code in meaning.codes)} | `{meaning.error_class}` |"
        f" {meaning.cure or cure_for(meaning.error_class, None)} |"
        for meaning in MEANINGS
    ]
    rows.append(f"| any other | `{DEFAULT}` | {cure_for(DEFAULT, None)} |")
    return "\n".join(["| Kafka's name | `error_class` | what to do |", "|---|---|---|", *rows])


def postgres_table() -> str:
    """A row for SQLSTATEs that mean the same."""
    rows = [
        f"| {', '.join(shown(state) for state in refusal.states) or 'any other'} | {refusal.means} |"
        f" `{refusal.error_class}` | {DONE[refusal.action].format(state_for(refusal.error_class))} |"
        f" {refusal.cure} |"
        for refusal in (*REFUSALS, UNKNOWN)
    ]
    head = "| SQLSTATE | what happened | `error_class` | what the relay does | what to do |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def shown(state: str) -> str:
    """A class of SQLSTATEs is shown by its first two characters."""
    return f"`{state}`" if len(state) > 2 else f"`{state}…`"


if __name__ == "__main__":
    PAGE.write_text(page_text(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
