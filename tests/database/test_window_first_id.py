"""The first id of a window: found once, not at all when the window is everything, and never trusted beyond that."""

from database.reading import Scene
from pg_tide_relay.cursor import FROM_THE_BEGINNING


def test_hazard_16_a_window_from_the_beginning_has_its_first_id_without_a_look_at_the_backlog(
    scene: Scene,
) -> None:
    """Looking takes seconds per ten million waiting messages, again at every start until the first settle."""
    scene.admin.publish()
    scene.admin.publish()
    relay = scene.relay()
    relay.acquire()
    assert relay.at.prev == FROM_THE_BEGINNING
    assert relay.look().first_ids == {1: 0}
    assert len(relay.drain()) == 2


def test_a_window_from_the_beginning_of_an_empty_outbox_ends_and_is_settled(scene: Scene) -> None:
    """It is the one empty window that is not thrown away; from then on there are none."""
    relay = scene.relay()
    assert relay.drain() == []
    assert scene.cursor()["prev"] == relay.at.prev != FROM_THE_BEGINNING
    assert not relay.open_window()


def test_hazard_16_a_restart_in_a_window_does_not_look_for_its_first_id(scene: Scene) -> None:
    """It is a column beside cur, written with it: the successor reads pages at once."""
    relay = scene.relay(size=2)
    relay.drain()
    ids = [scene.admin.publish() for _ in range(5)]
    assert relay.page() == ids[:2]
    relay.settle()
    row = scene.cursor()
    assert (row["first_id"], row["last_id"]) == (ids[0], ids[1])
    relay = scene.crash(relay)
    assert relay.is_reading
    assert relay.at.first_id == ids[0]
    assert relay.page() == ids[2:4]
