"""What happens to brokers, to topics, and to the right to use them."""

import time

from faults.faultproxy import Weather
from pg_tide_dev.kafka import delete_topic
from torture.kinds import Fault
from torture.scene import DOOMED, STEADY

BURST_BYTES = 400_000
BURST = 60  # 24 MB: more than the 16 MiB that a pipeline has in flight


class _OfKafka(Fault):
    place = "kafka"


class LeaderKilled(_OfKafka):
    kind = "kafka: kill -9 of a partition's leader"
    holds_s = (0.5, 4.0)

    def begin(self) -> None:
        self.killed = self.chosen()
        for node_id in self.killed:
            self.scene.servers.kafka.nodes.kill_node(node_id)

    def end(self) -> None:
        for node_id in self.killed:
            self.scene.servers.kafka.nodes.start_node(node_id)

    def chosen(self) -> list[int]:
        """Which nodes die."""
        return [self.scene.servers.kafka.leader_of(STEADY) or 1]


class ControllerKilled(LeaderKilled):
    kind = "kafka: kill -9 of the controller"

    def chosen(self) -> list[int]:
        return [self.scene.servers.kafka.controller() or 1]


class TwoKilled(LeaderKilled):
    kind = "kafka: kill -9 of two nodes of three"

    def chosen(self) -> list[int]:
        leader = self.scene.servers.kafka.leader_of(STEADY) or 1
        others = [node_id for node_id in self.scene.servers.kafka.nodes.node_ids if node_id != leader]
        return [leader, self.chance.choice(others)]

    def end(self) -> None:
        nodes = self.scene.servers.kafka.nodes
        for node_id in self.killed:
            nodes.node(node_id).start()
        for node_id in self.killed:
            nodes.start_node(node_id)


class LeaderFrozen(_OfKafka):
    kind = "kafka: a partition's leader frozen"
    holds_s = (0.5, 4.0)

    def begin(self) -> None:
        self._node = self.scene.servers.kafka.leader_of(STEADY) or 1
        self.scene.servers.kafka.nodes.pause_node(self._node)

    def end(self) -> None:
        self.scene.servers.kafka.nodes.resume_node(self._node)


class TopicDeleted(_OfKafka):
    """What was on it is gone with it: its pipeline is judged by what was published after it came back.

    Restarted as docs/reliability.md says, since the Kafka client may keep to leaders of the old topic.
    """

    kind = "kafka: topic deleted, made again, pipeline restarted"
    repeats = True
    holds_s = (0.0, 2.0)

    def begin(self) -> None:
        delete_topic(self.scene.servers.kafka.bootstrap, DOOMED)

    def end(self) -> None:
        self.scene.create_topic(DOOMED)
        self.scene.doomed_since_us = time.time_ns() // 1000
        for call in ("select tide.relay_disable(%s)", "select tide.relay_enable(%s)"):
            self.scene.ask(call, self.scene.doomed.pipeline)


class RightRevoked(_OfKafka):
    kind = "kafka: right to write revoked, granted again"
    holds_s = (0.2, 1.5)

    def begin(self) -> None:
        self.scene.servers.kafka.revoke_writing(STEADY)

    def end(self) -> None:
        self.scene.servers.kafka.grant(STEADY)


class PasswordRotated(_OfKafka):
    """Open connections live on, so they are cut; then the pipelines are given the new password."""

    kind = "kafka: password rotated, connections cut"
    holds_s = (0.2, 1.5)

    def begin(self) -> None:
        self.scene.servers.kafka.rotate_password()
        self.scene.servers.kafka.network.reset()

    def end(self) -> None:
        self.scene.configure()


class QueueFilled(_OfKafka):
    kind = "kafka: nothing passes while 24 MB are published"
    holds_s = (0.2, 1.0)
    place = "network to kafka"

    def begin(self) -> None:
        self.scene.servers.kafka.network.change(Weather.STILL)
        self.scene.ask(
            "select count(tide.outbox_publish(%s, jsonb_build_object('x', repeat('x', %s)), key => 'burst ' || n %% 7))"
            " from generate_series(1, %s) n",
            self.scene.steady.outbox,
            BURST_BYTES,
            BURST,
        )

    def end(self) -> None:
        self.scene.servers.kafka.network.change(Weather.CLEAR)
