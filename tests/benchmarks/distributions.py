"""How long tasks wait and run: each distribution with its cumulative function and a way to draw from it. Times are in seconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from statistics import NormalDist


@dataclass(frozen=True, slots=True)
class Distribution:
    """A random duration T."""

    name: str
    cdf: Callable[[float], float]
    """P(T <= t)."""
    draw: Callable[[Random], float]
    mean: float
    horizon: float
    """A duration that is hardly ever exceeded."""


@dataclass(frozen=True, slots=True)
class TaskModel:
    """The durations of a task: it waits in the queue (not at all, if `queue` is None), then runs.

    `provisional`: the task is in a provisional status while it runs, and its watch settles at the horizon of `run` if it
    has not ended by then.
    """

    name: str
    run: Distribution
    queue: Distribution | None = None
    provisional: bool = False

    @property
    def mean(self) -> float:
        """The mean time for which a task is watched."""
        return self.run.mean + (self.queue.mean if self.queue else 0.0)


def lognormal(median: float, sigma: float) -> Distribution:
    """A duration whose logarithm is normal."""
    normal, mu = NormalDist(), math.log(median)
    return Distribution(
        f"lognormal({median:g}, {sigma:g})",
        lambda t: normal.cdf((math.log(t) - mu) / sigma) if t > 0 else 0.0,
        lambda rng: median * math.exp(rng.gauss(0, sigma)),
        median * math.exp(sigma**2 / 2),
        median * math.exp(5.5 * sigma),
    )


def weibull(shape: float, scale: float) -> Distribution:
    """A duration with a hazard that grows as t^(shape - 1)."""
    return Distribution(
        f"Weibull {shape:g}",
        lambda t: -math.expm1(-((t / scale) ** shape)) if t > 0 else 0.0,
        lambda rng: rng.weibullvariate(scale, shape),
        scale * math.gamma(1 + 1 / shape),
        scale * 17 ** (1 / shape),
    )


def normals(*peaks: tuple[float, float, float]) -> Distribution:
    """A mixture of normal peaks (weight, mean, standard deviation) with next to no mass below 0."""
    shapes = [(weight, NormalDist(mean, sigma)) for weight, mean, sigma in peaks]

    def draw(rng: Random) -> float:
        (_, mean, sigma) = rng.choices(peaks, [weight for weight, _, _ in peaks])[0]
        return max(0.0, rng.gauss(mean, sigma))

    name = "bimodal" if len(peaks) > 1 else f"{peaks[0][1]:g} ± {peaks[0][2]:g}"
    mean = sum(weight * mean for weight, mean, _ in peaks)
    horizon = max(mean + 5.5 * sigma for _, mean, sigma in peaks)
    return Distribution(name, lambda t: sum(weight * shape.cdf(t) for weight, shape in shapes), draw, mean, horizon)


def after(delay: float, mean: float) -> Distribution:
    """A fixed delay, then an exponential duration. With a delay of 10 s, it resembles a speaker search."""
    return Distribution(
        f"{delay:g} + exp {mean:g}",
        lambda t: -math.expm1(-(t - delay) / mean) if t > delay else 0.0,
        lambda rng: delay + rng.expovariate(1 / mean),
        delay + mean,
        delay + 17 * mean,
    )


def lomax(shape: float, scale: float, longest: float) -> Distribution:
    """A heavy tail, cut at `longest`: of the tasks that have run long, most run much longer."""
    cut = (1 + longest / scale) ** -shape

    def draw(rng: Random) -> float:
        while (t := scale * (rng.paretovariate(shape) - 1)) > longest:
            pass
        return t

    mean = (scale / (shape - 1) * (1 - (1 + longest / scale) ** (1 - shape)) - longest * cut) / (1 - cut)
    return Distribution(f"Lomax {shape:g}", lambda t: min(1.0, (1 - (1 + max(0.0, t) / scale) ** -shape) / (1 - cut)), draw, mean, longest)


def sometimes(share: float, mean: float, settles: float) -> Distribution:
    """Exponential for this share of the tasks; all others are watched until they settle."""

    def draw(rng: Random) -> float:
        ends = rng.expovariate(1 / mean) if rng.random() < share else math.inf
        return ends if ends < settles else math.inf

    watched = (1 - share) * settles + share * mean * -math.expm1(-settles / mean)
    return Distribution(
        f"{share:.0%} exp {mean:g}", lambda t: share * -math.expm1(-min(t, settles) / mean) if t > 0 else 0.0, draw, watched, settles
    )


TASK_MODELS = (
    TaskModel("lognormal(10, .8)", lognormal(10, 0.8)),
    TaskModel("bimodal", normals((0.6, 5, 1), (0.4, 25, 4))),
    TaskModel("Weibull 2", weibull(2, 12)),
    TaskModel("12 ± .8", normals((1, 12, 0.8))),
    TaskModel("10 + exp 4", after(10, 4)),
    TaskModel("Lomax 1.5", lomax(1.5, 10, 600)),
    TaskModel("queue exp 6, run 10 + exp 4", after(10, 4), queue=after(0, 6)),
    TaskModel("queue exp 2, run 10 + exp 4", after(10, 4), queue=after(0, 2)),
    TaskModel("30 % exp 20", sometimes(0.3, 20, 600), provisional=True),
)
"""Bimodal: 60 % at 5 ± 1 s, 40 % at 25 ± 4 s. Lomax: scale 10 s, cut at 600 s. The last one is a provisional status that 30 % of the
tasks leave, and in which the others settle after 600 s."""
