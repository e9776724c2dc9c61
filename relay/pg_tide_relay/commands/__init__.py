"""The commands of ``pg-tide``, one module each, and what they share:

failure         exit codes, and how errors become a sentence for the operator
flags           groups of flags, and how a command receives them
output          tables and JSON on stdout
config_file     a pipeline's configuration from a file or from stdin
run             the relay
install         brings the schema to this program's version
upgrade         the same, where a schema exists
uninstall       removes the schema
status          pipelines, lag, relays
validate        configurations of pipelines, from a file or from the database
preview         what a pipeline would send next, without sending it
preview_output  messages and their records, for people and for programs
verify          what an outbox holds against what its topics hold
verify_output   that comparison, for people and for programs
looking         what keeps a command from looking into a pipeline's messages
row_schema      row schemas of outboxes: propose one from messages, show those that are stored
dlq             dead letters: list, show, send again, give up
replay          messages sent again beside the cursor: ask, list, cancel
administering   what commands for administrators share
topics          topics of pipelines: are they there, and create those that are missing
schemas         schemas of pipelines: does the registry have them, and register those that are missing
ensured         how topics and schemas that were looked for are told
stored          pipelines as they are stored
dev             the demo, on servers from packages
"""
