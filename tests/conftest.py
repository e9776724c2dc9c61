"""Index of the fixtures: which file has what.

fix_run        `dev_run`: the run that owns every server; `progress`: a line for whoever watches
fix_postgres   servers `pg15`, `pg16`, `pg18`, `pg` (15 and 18 in turn), `new_postgres` (one to kill);
               databases `database` (schema installed), `database18`, `empty_database`
fix_kafka      `kafka` (one broker for the whole run), `kafka_cluster3`, `new_kafka` (one to kill);
               topics `topic`, `make_topic`; reading `read_topic`
fix_secured    `secured`: a broker that asks for passwords, certificates and rights; `user`, `secured_topic`
fix_registry   `registry`: a schema registry for the whole run; `schemas`, its client; `front`, `new_front`: before it
fix_relay      `start_relay`: `pg-tide` in a process of its own, with its log
"""

pytest_plugins = ("fix_run", "fix_postgres", "fix_kafka", "fix_secured", "fix_registry", "fix_relay")
