from confluent_kafka import Producer

from fix_kafka import ReadTopic
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer


def test_a_database_of_the_template_has_the_schema(database: Database) -> None:
    """Tests find the schema installed and no message in it."""
    with database.connect() as connection:
        found = connection.execute("select count(*) from pg_namespace where nspname = 'tide'").fetchone()
    assert found == (1,)


def test_every_record_of_a_topic_is_read_in_order(
    kafka: KafkaServer, topic: str, read_topic: ReadTopic
) -> None:
    """What a test reads from its topic is what was produced, nothing more."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(10):
        producer.produce(topic, str(number), key="k")
    producer.flush()
    assert [record.value() for record in read_topic(topic, 10)] == [
        str(number).encode() for number in range(10)
    ]
