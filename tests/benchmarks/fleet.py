"""Replicas with the real `Pace` against one token bucket of a server, on virtual time. All of them always have a call to make."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Protocol

from watcher.core.polling.pace import Pace, PaceSettings
from watcher.simulator.quota import TokenBucket

HEARTBEAT_S = 5.0
"""Seconds between two exchanges of the rates among replicas."""
TRIP_S = 0.05
"""Seconds from a call to its reply, plus or minus half of it."""


class Client(Protocol):
    """A client that calls as soon as it may."""

    def next_call(self, now: float) -> float:
        """The time of its next call."""

    def call(self, now: float) -> Callable[[bool, float], None]:
        """Make a call. Returns a function for the reply: whether it was accepted, and when."""


class Paced:
    """A replica, which calls as fast as its pace allows. A configured rate is divided among so many of them."""

    def __init__(self, rate: float | None = None, replicas: int = 1) -> None:
        self.pace = Pace(PaceSettings(rate=rate), 0.0)
        self.pace.share(replicas, 0.0)

    def next_call(self, now: float) -> float:
        return now + self.pace.wait(now)

    def call(self, now: float) -> Callable[[bool, float], None]:
        permit = self.pace.take(now)

        def on_reply(accepted: bool, at: float) -> None:
            (self.pace.success if accepted else self.pace.throttled)(permit, at)

        return on_reply


class Steady:
    """A client without a pace, which makes this many calls per second, throttled or not."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate, self.next = rate, now

    def next_call(self, now: float) -> float:
        return max(now, self.next)

    def call(self, now: float) -> Callable[[bool, float], None]:
        self.next += 1 / self.rate
        return lambda accepted, at: None


class Crowd(Steady):
    """Many clients without a pace, which together make this many calls per second on average, at random times."""

    def __init__(self, rate: float, now: float, seed: int) -> None:
        super().__init__(rate, now)
        self._rng = Random(seed)

    def call(self, now: float) -> Callable[[bool, float], None]:
        self.next = now + self._rng.expovariate(self.rate)
        return lambda accepted, at: None


@dataclass(slots=True)
class Tally:
    """Calls by client, accepted and not."""

    accepted: list[int]
    throttled: list[int]

    def throttled_share(self, clients: Sequence[int]) -> float:
        """The share of throttled calls in all calls of these clients."""
        bad = sum(self.throttled[i] for i in clients)
        return bad / max(1, bad + sum(self.accepted[i] for i in clients))

    def jain(self, clients: Sequence[int]) -> float:
        """Jain's fairness index of these clients: 1 for equal shares, 1/n if one of n has everything."""
        shares = [self.accepted[i] for i in clients]
        return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


@dataclass(slots=True)
class Fleet:
    """Clients of one quota. With `blend`, replicas move their rates toward the mean of all."""

    quota: float
    clients: list[Client]
    blend: bool = True
    seed: int = 1
    now: float = 0.0
    tally: Tally = field(init=False)
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _rng: Random = field(init=False)
    _bucket: TokenBucket = field(init=False)

    def __post_init__(self) -> None:
        self._rng, self._bucket = Random(self.seed), TokenBucket(self.quota)
        self.reset_tally()
        for index in range(len(self.clients)):
            self._wake(index)
        self._at(HEARTBEAT_S, self._heartbeat)

    @property
    def rate(self) -> float:
        """The sum of the rates of the replicas, in calls per second."""
        return sum(client.pace.rate for client in self.clients if isinstance(client, Paced))

    def reset_tally(self) -> None:
        """Count calls from now on."""
        self.tally = Tally([0] * len(self.clients), [0] * len(self.clients))

    def join(self, client: Client) -> None:
        """Add a client."""
        self.clients.append(client)
        self.reset_tally()
        self._wake(len(self.clients) - 1)

    def change_quota(self, quota: float) -> None:
        """Set another quota. Its bucket is full."""
        self.quota, self._bucket = quota, TokenBucket(quota)

    def run(self, seconds: float, settled: Callable[[], bool] = lambda: False) -> float:
        """Run for this long, or until `settled`. Returns for how long it ran."""
        began, end = self.now, self.now + seconds
        while not settled():
            if self._events[0][0] > end:
                self.now = end
                break
            self.now, _, act = heapq.heappop(self._events)
            act()
        return self.now - began

    def _at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), act))

    def _wake(self, index: int) -> None:
        self._at(self.clients[index].next_call(self.now), lambda: self._call(index))

    def _call(self, index: int) -> None:
        client, now = self.clients[index], self.now
        if client.next_call(now) > now + 1e-6:  # its rate was lowered in the meantime
            self._wake(index)
            return
        on_reply, accepted = client.call(now), self._bucket.take(now)
        (self.tally.accepted if accepted else self.tally.throttled)[index] += 1
        arrives = now + TRIP_S * self._rng.uniform(0.5, 1.5)
        self._at(arrives, lambda: on_reply(accepted, arrives))
        self._wake(index)

    def _heartbeat(self) -> None:
        paces = [client.pace for client in self.clients if isinstance(client, Paced)]
        mean = sum(pace.rate for pace in paces) / len(paces) if paces else 0.0
        if self.blend:
            for pace in paces:
                pace.blend(mean, self.now)
        self._at(self.now + HEARTBEAT_S, self._heartbeat)
