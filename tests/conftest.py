"""Index of the fixtures: which file has what.

fix_run        `dev_run`: the run that owns every server, `progress`: a line for whoever watches
fix_postgres   servers `pg15`, `pg16`, `pg18`, `pg` (each version in turn), `new_postgres`; databases `database`, `empty_database`
fix_kafka      servers `kafka`, `kafka_cluster3`; topics `topic`, `make_topic`, reading `read_topic`
"""

pytest_plugins = ("fix_run", "fix_postgres", "fix_kafka")
