"""How long simulated tasks wait and run: each law as a distribution function and as dice. Seconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from statistics import NormalDist

Number = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Distribution:
    """One random duration: P(T <= t), a draw, its mean, and an age that next to none outlives."""

    name: str
    cdf: Number
    draw: Callable[[Random], float]
    mean: float
    horizon: float


@dataclass(frozen=True, slots=True)
class SimulatedTask:
    """What a task does: it waits in the queue (not at all, where there is no law for that), then runs."""

    name: str
    run: Distribution
    queue: Distribution | None = None
    smooth: bool = True
    """No narrow peaks: what the aims call a smooth law."""

    @property
    def mean(self) -> float:
        """Of the whole life, in seconds."""
        return self.run.mean + (self.queue.mean if self.queue else 0.0)


def lognormal(median: float, sigma: float) -> Distribution:
    """The logarithm of T is normal."""
    normal, middle = NormalDist(), math.log(median)
    return Distribution(
        f"lognormal({median:g}, {sigma:g})",
        lambda t: normal.cdf((math.log(t) - middle) / sigma) if t > 0 else 0.0,
        lambda dice: median * math.exp(dice.gauss(0, sigma)),
        median * math.exp(sigma**2 / 2),
        median * math.exp(5.5 * sigma),
    )


def weibull(shape: float, scale: float) -> Distribution:
    """A hazard that grows like t^(shape - 1)."""
    return Distribution(
        f"Weibull {shape:g}",
        lambda t: -math.expm1(-((t / scale) ** shape)) if t > 0 else 0.0,
        lambda dice: dice.weibullvariate(scale, shape),
        scale * math.gamma(1 + 1 / shape),
        scale * 17 ** (1 / shape),
    )


def normals(*peaks: tuple[float, float, float]) -> Distribution:
    """Peaks (share, place, width), each normal; the mass below 0 is nil for these."""
    shapes = [(share, NormalDist(place, width)) for share, place, width in peaks]

    def draw(dice: Random) -> float:
        (_, place, width) = dice.choices(peaks, [share for share, _, _ in peaks])[0]
        return max(0.0, dice.gauss(place, width))

    name = "bimodal" if len(peaks) > 1 else f"{peaks[0][1]:g} ± {peaks[0][2]:g}"
    mean = sum(share * place for share, place, _ in peaks)
    return Distribution(name, lambda t: sum(share * s.cdf(t) for share, s in shapes), draw, mean, max(p + 5.5 * w for _, p, w in peaks))


def after(delay: float, mean: float) -> Distribution:
    """A fixed time, then an exponential one. What a speaker search looks like with a delay of 10 s."""
    return Distribution(
        f"{delay:g} + exp {mean:g}",
        lambda t: -math.expm1(-(t - delay) / mean) if t > delay else 0.0,
        lambda dice: delay + dice.expovariate(1 / mean),
        delay + mean,
        delay + 17 * mean,
    )


def lomax(shape: float, scale: float, longest: float) -> Distribution:
    """A heavy tail: of those that have run long, most run much longer. None runs longer than `longest`: it would be drawn again."""
    left = (1 + longest / scale) ** -shape

    def draw(dice: Random) -> float:
        while (t := scale * (dice.paretovariate(shape) - 1)) > longest:
            pass
        return t

    mean = (scale / (shape - 1) * (1 - (1 + longest / scale) ** (1 - shape)) - longest * left) / (1 - left)
    return Distribution(f"Lomax {shape:g}", lambda t: min(1.0, (1 - (1 + max(0.0, t) / scale) ** -shape) / (1 - left)), draw, mean, longest)


LIVES = (
    SimulatedTask("lognormal(10, .8)", lognormal(10, 0.8)),
    SimulatedTask("bimodal", normals((0.6, 5, 1), (0.4, 25, 4)), smooth=False),
    SimulatedTask("Weibull 2", weibull(2, 12)),
    SimulatedTask("12 ± .8", normals((1, 12, 0.8)), smooth=False),
    SimulatedTask("10 + exp 4", after(10, 4)),
    SimulatedTask("Lomax 1.5", lomax(1.5, 10, 600)),
    SimulatedTask("queue exp 6, run 10 + exp 4", after(10, 4), queue=after(0, 6)),
)
"""Bimodal: 60 % at 5 ± 1 s, 40 % at 25 ± 4 s. Lomax: scale 10 s, cut at 600 s."""
