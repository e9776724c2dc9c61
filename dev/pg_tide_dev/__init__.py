"""Real servers for development: for the command `pg-tide dev`, the tests and the benchmarks.

A `Run` owns everything that is started: `start_postgres`, `start_kafka` and `start_registry` start servers within
it, and when it ends, however it ends, its guardian ends the servers and removes their folder.

The modules, in the order they are used:

errors               what can go wrong
sources              where servers come from: an address, Docker, local binaries, packages
places               folders: the cache, copies that a server's user can enter
guardian             the small process that cleans up after a run that died
processes            a run, its processes, free ports
containers           one container of a run
postgres_binaries    finds PostgreSQL's programs
postgres_external    a PostgreSQL that others started, and one in Docker
postgres             starts, stops and kills PostgreSQL
databases            a database per test
kafka_jars           fetches jars, Kafka's first, and checks their sums
java                 finds a Java runtime
kafka_nodes          Kafka nodes as processes
kafka_prepare        makes them start faster
kafka_external       a Kafka that others started, and one in Docker
kafka                starts Kafka with one node or three
registry_program     fetches Apicurio Registry and checks its sum
registry             starts it: a schema registry with Confluent's API
hand_work            the servers of `make up` and `make down`
demo                 1,000 orders from commit to topic: `pg-tide dev`
"""
