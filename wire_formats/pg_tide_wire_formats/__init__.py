"""Bytes in, bytes out: how a message becomes the value and the headers of a record.

Knows neither databases nor Kafka clients. Each format is held to a golden file in ``golden/``.

headers          names and order of the headers of every record
times            times as texts
documents        JSON documents whose numbers keep every digit
native           the payload's own text as the value
cloudevents      CloudEvents 1.0, binary and structured
outbox_router    the records of Debezium's outbox event router
debezium         Debezium's change events: names, schemas and the frame
debezium_avro    the same in Avro
row_schema       rows with declared types
connect          Kafka Connect's schemas and values
connect_types    PostgreSQL's types in Kafka Connect, as Debezium has them
connect_columns  what a column is: its schema, and what makes its values
connect_numbers  numbers among the types
connect_times    dates and times among them
avro             a document in Avro by its schema; Confluent's frame, names of subjects
avro_schema      an Avro schema as types, or why it is none
avro_compile     from these types to one closure
avro_documents   how a document's values are written
avro_times       dates, times and decimals from texts
avro_binary      the bytes, and the error that says where a value does not fit
connect_avro     values with a schema of Kafka Connect in Avro
"""
