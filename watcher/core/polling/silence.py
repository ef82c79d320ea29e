"""When to poll a task whose change AWS is expected to announce: the accrual rule, given that nothing was announced so far.

A notification makes the watcher poll at once, so a task about which none came has probably not changed. Let p be the
chance that a transition is announced, D the delay of its announcement, and s the age at which the task was last seen
unchanged. As long as nothing is announced, the expected lag at age t is

    A(s, t) = E[(t - T)+ | T > s, silent until t],    P(T = u, silent until t) ~ f(u) (1 - p P(D <= t - u))

D enters through its second moment only: P(D > x) is replaced by 1 for x < w and 0 after that, with w^2 = E[D^2], which is
2 d^2 for an exponential D of mean d. With m = max(s, t - w), G the integral of F, and N(x, y) = G(y) - G(x) - F(x)(y - x),

    A(s, t) = ((1 - p) N(s, t) + p N(m, t)) / (1 - F(s) - p (F(m) - F(s)))

Up to age s + w this is the rule without notifications: none had the time to arrive. docs/cadence.md has the derivation.
All times are in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

LONGEST_S = 30.0
"""The longest gap that relies on announcements, in seconds, because they may have stopped."""
GROWTH = 1.25
"""The factor between the gaps that the search for the price tries."""
PRECISION = 0.002
"""The relative precision of a gap."""


class Durations(Protocol):
    """The distribution of the time in a status, as `DurationModel` learns it."""

    def probability(self, t: float) -> float:
        """F(t)."""

    def integral(self, t: float) -> float:
        """G(t)."""

    def accrued(self, s: float, t: float) -> float:
        """A(s, t) without announcements."""

    def gap(self, s: float, price: float, low: float, high: float) -> float:
        """The time until a lag of `price` has accrued, without announcements."""


class Trust(NamedTuple):
    """What is expected of the announcements of one status."""

    share: float
    """p: the chance that a transition is announced; 0 where announcements are not waited for."""
    wait_s: float
    """w: within this time after a transition, silence says nothing. In seconds."""

    @classmethod
    def of(cls, share: float, delay_s: float) -> Trust:
        """Trust in announcements whose delay is exponential with this mean."""
        return cls(share, math.sqrt(2) * delay_s)


NO_TRUST = Trust(0.0, 0.0)
"""Nothing is expected of announcements."""


def accrued(model: Durations, s: float, t: float, trust: Trust) -> float:
    """A(s, t): the expected lag at age t of a task last seen unchanged at age s, about which nothing was announced."""
    return _silent_lag(model, s, trust)(t) if trust.share and t > s else model.accrued(s, t)


def gap(model: Durations, s: float, price: float, low: float, high: float, trust: Trust) -> float:
    """The time after age s until a lag of `price` is expected although nothing was announced, within [low, high].

    It is never shorter than the gap without announcements, and longer than `LONGEST_S` only where that one is.
    """
    shorter = model.gap(s, price, low, high)
    longest = min(high, LONGEST_S)
    if not trust.share or shorter <= trust.wait_s or shorter >= longest:
        return shorter
    lag, longer = _silent_lag(model, s, trust), shorter
    while lag(s + longer) < price:
        if longer >= longest:
            return longest
        shorter, longer = longer, min(longest, longer * GROWTH)
    while longer - shorter > PRECISION * longer:
        middle = (shorter + longer) / 2
        shorter, longer = (shorter, middle) if lag(s + middle) >= price else (middle, longer)
    return longer


def _silent_lag(model: Durations, s: float, trust: Trust) -> Callable[[float], float]:
    """A(s, t) as a function of t > s."""
    share, wait = trust
    base, before = model.integral(s), model.probability(s)

    def lag(t: float) -> float:
        m = max(s, t - wait)
        area, level = model.integral(t), model.probability(m)
        unannounced = area - base - before * (t - s)
        on_its_way = area - model.integral(m) - level * (t - m)
        silent = 1 - before - share * (level - before)
        return max(0.0, ((1 - share) * unannounced + share * on_its_way) / silent)

    return lag
