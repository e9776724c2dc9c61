"""A stored row schema on its way: from the messages it was inferred from to the records of a relay."""

import json

from delivery_kit import STOP
from fix_kafka import ReadTopic
from fix_relay import StartRelay
from relay_kit import Tide, records

INFER_AND_SET = """
    select tide.row_schema_set('orders', jsonb_agg(i.entry), origin => 'inferred')
      from tide.row_schema_infer('orders') i"""


def test_a_relay_runs_the_version_that_the_pipeline_names_and_takes_up_the_next_one(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """A message that does not fit stops the pipeline; a version that has its column lets it go on."""
    tide.outbox()
    tide.publish({"id": 1, "total": 1.10}, key="k")
    wire = {"schemas_enable": True, "decimal_handling_mode": "string"}

    def name_version(version: int) -> None:
        tide.pipeline(topic, wire_format="debezium", wire_config=wire | {"row_schema": version}, dlq=STOP)

    name_version(tide.value(INFER_AND_SET))
    start_relay(tide.dsn)
    tide.until_settled()
    misfit = tide.publish({"id": 2, "total": 2, "note": "new"}, key="k")
    row = tide.until_state("error")
    assert (row.error_class, row.message_id) == ("message", misfit)
    assert "the row schema has no column 'note'" in row.error
    name_version(tide.value(INFER_AND_SET))
    tide.until_settled()
    assert tide.value("select array_agg(version order by version) from tide.row_schemas") == [1, 2]
    values = [json.loads(record.value or b"") for record in records(read_topic(topic, 2))]
    assert [value["payload"]["after"] for value in values] == [
        {"id": 1, "total": "1.1"},
        {"id": 2, "note": "new", "total": "2"},
    ]
    fields = [{f["field"]: f for f in value["schema"]["fields"]}["after"]["fields"] for value in values]
    assert [[f["field"] for f in each] for each in fields] == [["id", "total"], ["id", "note", "total"]]
