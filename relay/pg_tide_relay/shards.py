"""Which shard a message falls to: a stable hash of its record's key, and of its id where there is none.

Two relays that drive shards of one pipeline must think the same of every message, whatever else they know: so the key
is computed from the message and the configuration alone, never from what a registry or a broker has answered, and
where it can't be computed the message's own key decides. Exactly one shard then tells of the bad message.
"""

from collections.abc import Callable, Sequence

from confluent_kafka import murmur2

from pg_tide_relay.change_events import compile_change_key
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.dead_letters import key_of_message
from pg_tide_relay.encode import compile_routed_key
from pg_tide_relay.message import Row
from pg_tide_relay.route import KeyOf
from pg_tide_relay.wire_types import Origin

Mine = Callable[[Sequence[Row]], Sequence[Row]]
"""Those of some messages that fall to one shard, in their order."""


def shard_of(key: bytes | None, message_id: int, shards: int) -> int:
    """murmur2 of the key as Kafka's Java client has it, sign bit cleared, modulo the shards; null: the id, modulo them.

    The client's library may put keys on partitions in this way, too; golden values hold it to the Java client's.
    """
    return message_id % shards if key is None else murmur2(key, shards)


def compile_mine(config: PipelineConfig, origin: Origin, shard: int, shards: int) -> Mine:
    """What picks one shard's messages; raises ConfigurationError."""
    if shards == 1:
        return all_of
    key_of = compile_record_key(config, origin)

    def mine(rows: Sequence[Row]) -> Sequence[Row]:
        # A loop of its own over every message of the outbox: it is what each further shard costs.
        kept = []
        for row in rows:
            key = key_of(row)
            if (row[0] % shards if key is None else murmur2(key, shards)) == shard:
                kept.append(row)
        return kept

    return mine


def all_of(rows: Sequence[Row]) -> Sequence[Row]:
    """There is one shard only."""
    return rows


def compile_record_key(config: PipelineConfig, origin: Origin) -> KeyOf:
    """The key of a message's record, before a registry's frame; the message's own where it has none. Never raises."""
    wire = config.wire_config
    routed = compile_routed_key(config, origin.outbox)
    key_of = routed
    if config.wire_format == "debezium" and wire.key_strategy == "struct":
        struct_key = compile_change_key(config, origin)

        def key_of(row: Row) -> bytes | None:
            return struct_key(row, routed(row))

    elif config.message_key is None and all(rule.message_key is None for rule in config.routing.rules):
        return routed  # the columns as they are: nothing can fail

    def safely(row: Row) -> bytes | None:
        try:
            return key_of(row)
        except Exception:  # noqa: BLE001  (whoever it falls to shapes it, and tells)
            return key_of_message(row)

    return safely
