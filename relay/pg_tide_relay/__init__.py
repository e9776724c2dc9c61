"""The relay: committed messages of an outbox become records on Kafka, and the cursor moves behind them.

The modules, in the order data flows. A process starts:

cli               the command line, put together
commands          one module per command of ``pg-tide``
settings          what an operator decides about a relay process
logs              what goes to stderr, and how often
failpoints        places where a test can make the process die
processes         several relay processes and the parent that keeps them running
child             one of these processes
supervisor        the process: one loop on the main thread that drives all pipelines
postgres          the worker threads and their connections
collector         Python's garbage collector, kept out of the way of messages
readiness         whether this is a database to work on
installation      whether it is the one that this relay is for, and no clone of it
catalogue         which pipelines to run, looked up while running
fair_share        and which of them are this process's, when several relays live
config            the keys of a pipeline, their rules, their values
build             from a stored pipeline to a running one

A pipeline runs:

pipeline          one pipeline: fetch, shape, deliver, settle, under a lease
pipeline_parts    what is stored of it, what all of a process share, what its configuration makes
lease             the right to drive it, until a time of this process's own clock
cursor            the position of a consumer group, as plain values
poll              opening windows and reading pages
fetch_ahead       the next page, while earlier ones are in flight
expression        JMESPath compiled to closures
message           a row, and the documents in it, parsed when asked for
reading           how much of a payload a pipeline has to read
transform         which messages are sent, and in which shape: filter and projection
encode            from a row to its record: transform, route and the wire format in one closure
route             the record's topic and key
wire              the wire format that a configuration asks for
wire_types        what every wire format is given and gives back
wire_avro         payloads in Avro, framed with the id of their schema
shards            which messages fall to one shard
schemas           the schemas that records need, and what the registry has for them
change_events     messages as Debezium's change events
change_avro       the same in Avro
change_rows       where the rows of those events come from
delivery          the batches of one pipeline, until each message has an outcome
delivery_limits   what bounds it
exactly_once      the same in transactions of Kafka
exactly_once_redrive  and of dead letters
exactly_once_replay   and of copies
transaction       one transaction after the other of one producer
kafka_cursor      how far a pipeline has come, as Kafka knows it
window            those batches, and the longest prefix that is settled
hand_over         the loop that runs once per message
pace              how much of it may go now, where the configuration has a limit
checks            what has to be known before a message is handed over: topic and schemas
gate              one record at first to a partition that does not know the producer yet
topics            is the topic there before its first message is handed over
topic_admin       looking for topics and creating them, through the cluster's admin API
schema_checks     asking the registry while delivery goes on
registry          one question to a schema registry, and its answer
kafka_config      from a configuration to the properties of librdkafka
produce           one Kafka producer, its reports and events
barrier           the place where all shards stop, so that their number can change
settling          what may be settled of one cursor, and when
settle            writing the position down, dead letters with it, and the right to do so

Something goes wrong:

errors            the classes of errors, and the exceptions that name them
kafka_errors      Kafka's codes, translated into those classes
postgres_errors   PostgreSQL's SQLSTATEs: what they mean, what the relay does, the cure
registry_errors   what a schema registry's answers and silences mean
error_policy      what is done about each class, and what the operator is told
contact           is the cluster there; told from reports, events and silence
dead_letters      what becomes of a message that can't be delivered, and which keys are parked
refusals          why a pipeline does not begin where its cursor stands
redrive           sending dead letters again, beside the messages
beside            redrives and replays together, as the pipeline drives them
stuck             a producer that comes no further although the cluster answers others
recovery          what the reports of a producer that failed mean for its messages
producer_end      emptying and closing a producer so that nothing of it lands behind its successor
backoff           growing pauses, by chance a little shorter
delivery_state    the state of one pipeline's delivery
report            that state, written where operators look

Beside the way of a message:

replay            sending messages again that were delivered, beside the cursor
replay_store      a replay as it is stored: begin, read, settle
replay_delivery   how its records differ from the pipeline's
housekeeping      the relay says that it lives, and runs retention
peek              the messages that a pipeline would send next, read without moving anything
preview           what it would make of them: records, or why there are none
verify            what an outbox holds against what its topics hold
connect           connections of commands, spoken of without their passwords
install           brings the schema ``tide`` to this program's version
migrations        what there is to do from one version to another
install_file      the same as one file for psql
pipeline_faults   why something can't be told of a stored pipeline
topics_ensure     are the topics of stored pipelines there, and creating those that are missing
schemas_ensure    does the registry have the schemas of stored pipelines, and registering them
uninstall         takes everything away, and says before what would be lost
"""
