"""``pg-tide verify``: what an outbox holds against what the topics of a pipeline hold.

ledger     what is expected of each message and where its record was found, in arrays
outbox     the side of the database: what should be on the topics
topics     the side of Kafka: what is there
findings   what does not agree, as plain values
compare    both sides, one after the other, and the verdict
"""
