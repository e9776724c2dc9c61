"""The configuration of a pipeline, in reading order.

problems         what is wrong with a configuration: path, severity, message, hint
paths            how a place inside a configuration is written: ``headers.x``, ``list[0]``
nearest          the name somebody probably meant
text_faults      what is wrong with one string
templates        ``{stream_table}`` in topics and record keys
placeholders     ``${env:NAME}`` in any string: checked when stored, resolved when a pipeline starts
marks            what a field's annotation can say beyond its type
relations        what the keys of one object have to do with each other, as data
addresses        hosts, ports and URLs as regular expressions
base             what all models have in common
models           the keys of a pipeline: the only source of truth
wire_models      those of the wire formats
dlq_models       what becomes of a message that can't be delivered
pace_models      those of pauses between attempts, and of the rate
transaction_models  how sure delivery is, and how transactions are cut
registry_models  those of the schema registry and of schemas
words            what a rule expects, for people
rules            the models as one JSON document, the rule language
keys             the keys as rows of a reference
check            that document applied to a configuration; ``tide.relay_validate`` does the same in SQL
load             a stored configuration becomes a ``PipelineConfig``
generate         writes the SQL and the reference table; ``--check`` tells when they are stale
"""
