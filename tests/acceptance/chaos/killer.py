"""Kills at random, in an order that a seed decides, and starts again what it has killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from tests.acceptance.chaos.background import Background

SHORTEST_PAUSE_SECONDS = 0.3
LONGEST_PAUSE_SECONDS = 3.0


@dataclass(frozen=True)
class Victim:
    """What can die. ``is_up``: it works, so that its death is noticed; ``kill`` also starts it again.

    ``share`` is how often it dies in a round of all.
    """

    is_up: Callable[[], bool]
    kill: Callable[[], None]
    share: int = 1


def order_of_deaths(
    victims: Mapping[str, Victim], random: Random, longest_pause: float = LONGEST_PAUSE_SECONDS
) -> Iterator[tuple[float, str]]:
    """Pause in seconds and name, without end: each round has every victim, in an order of its own."""
    names = [name for name, victim in victims.items() for _ in range(victim.share)]
    while True:
        random.shuffle(names)
        for name in names:
            yield random.uniform(SHORTEST_PAUSE_SECONDS, longest_pause), name


class Killer(Background):
    """At work in a thread of its own for the time of a block; ``deaths`` counts them by name.

    What is not up when its time comes is passed over, or it would never come up.
    After ``most`` deaths only victims that have not died yet do; with 0 each dies once.
    ``revive`` starts again what has ended by itself, as Airflow's processes do that start without a database.
    """

    def __init__(
        self,
        victims: Mapping[str, Victim],
        random: Random,
        *,
        most: int,
        revive: Callable[[], None],
        longest_pause: float = LONGEST_PAUSE_SECONDS,
    ) -> None:
        super().__init__()
        self.deaths: Counter[str] = Counter()
        self._victims = victims
        self._order = order_of_deaths(victims, random, longest_pause)
        self._most = most
        self._revive = revive

    def has_killed_all(self) -> bool:
        """Whether each victim has died; also where that cannot be any more."""
        return self.deaths.keys() == self._victims.keys() or self.has_failed

    def work(self) -> None:
        """Kill one after the other."""
        for pause, name in self._order:
            if self.deaths.total() >= self._most and name in self.deaths:
                pause = LONGEST_PAUSE_SECONDS if self.has_killed_all() else 0
            if self.is_stopped_within(pause):
                return
            self._revive()
            is_next = self.deaths.total() < self._most or name not in self.deaths
            if is_next and self._victims[name].is_up():
                self._victims[name].kill()
                self.deaths[name] += 1
