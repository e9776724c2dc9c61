"""What happens on the way between relays and servers."""

from typing import ClassVar

from faults.faultproxy import Weather
from torture.kinds import Fault
from torture.servers import Network


class _OfNetwork(Fault):
    weather: ClassVar[Weather]

    @property
    def network(self) -> Network:
        """The way that is hit."""
        raise NotImplementedError

    def begin(self) -> None:
        self.network.change(self.weather)

    def end(self) -> None:
        self.network.change(Weather.CLEAR)


class _ToKafka(_OfNetwork):
    place = "network to kafka"

    @property
    def network(self) -> Network:
        return self.scene.servers.kafka.network


class _ToPostgres(_OfNetwork):
    place = "network to postgres"

    @property
    def network(self) -> Network:
        return self.scene.servers.to_postgres


class KafkaCut(_ToKafka):
    kind = "network to kafka: cut"
    weather = Weather.DOWN
    holds_s = (0.1, 2.0)


class KafkaStill(_ToKafka):
    kind = "network to kafka: nothing passes"
    weather = Weather.STILL
    holds_s = (0.1, 3.0)


class KafkaSlow(_ToKafka):
    kind = "network to kafka: slow"
    weather = Weather.SLOW
    holds_s = (0.5, 3.0)


class KafkaReset(_ToKafka):
    kind = "network to kafka: connections reset"

    def begin(self) -> None:
        self.network.reset()

    def end(self) -> None:
        """The new connections are whole."""


class KafkaTorn(KafkaReset):
    kind = "network to kafka: half an answer"

    def begin(self) -> None:
        self.network.tear()


class PostgresCut(_ToPostgres):
    kind = "network to postgres: cut"
    weather = Weather.DOWN
    holds_s = (0.1, 2.0)


class PostgresStill(_ToPostgres):
    kind = "network to postgres: nothing passes"
    weather = Weather.STILL
    holds_s = (0.1, 3.0)


class PostgresSlow(_ToPostgres):
    kind = "network to postgres: slow"
    weather = Weather.SLOW
    holds_s = (0.5, 3.0)


class PostgresReset(_ToPostgres):
    kind = "network to postgres: connections reset"

    def begin(self) -> None:
        self.network.reset()

    def end(self) -> None:
        """The new connections are whole."""


class PostgresTorn(PostgresReset):
    kind = "network to postgres: half an answer"

    def begin(self) -> None:
        self.network.tear()
