"""Random durations written as text: `lognormal(10,0.8)`, `10+exponential(4)`, `queue=fixed(1),run=uniform(5,15)`.

A distribution has no state: the caller passes the random number generator, so the same generator state gives the same
duration. All parameters and results are seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

Draw = Callable[[Random], float]


@dataclass(frozen=True, slots=True)
class Distribution:
    """A random duration in seconds, never negative. Two distributions are equal when their text is equal."""

    text: str
    draws: tuple[Draw, ...] = field(compare=False, repr=False)
    """One function for each term of the sum."""

    def draw(self, rng: Random) -> float:
        """Return one duration in seconds."""
        return max(0.0, sum([draw(rng) for draw in self.draws]))


@dataclass(frozen=True, slots=True)
class Family:
    """A family of distributions: the names of its parameters, a function that makes a `Draw` of them, and their defaults."""

    parameters: tuple[str, ...]
    make: Callable[..., Draw]
    default: tuple[float, ...] | None = None

    def usage(self, name: str) -> str:
        """Return the form in which it is written, such as `normal(mean,deviation)`."""
        return f"{name}({','.join(self.parameters)})" if self.parameters else name


def _bimodal(first: float, second: float, share: float) -> Draw:
    """Two normal peaks, each with a deviation of a tenth of its mean; `share` is the part of the draws at the second."""

    def draw(rng: Random) -> float:
        peak = second if rng.random() < share else first
        return rng.gauss(peak, peak / 10)

    return draw


FAMILIES: Mapping[str, Family] = {
    "fixed": Family(("seconds",), lambda seconds: lambda rng: seconds),
    "uniform": Family(("least", "most"), lambda least, most: lambda rng: rng.uniform(least, most)),
    "normal": Family(("mean", "deviation"), lambda mean, deviation: lambda rng: rng.gauss(mean, deviation)),
    "exponential": Family(("mean",), lambda mean: lambda rng: mean * -math.log(1 - rng.random())),
    "lognormal": Family(("median", "sigma"), lambda median, sigma: lambda rng: median * math.exp(rng.gauss(0, sigma))),
    "weibull": Family(("shape", "scale"), lambda shape, scale: lambda rng: rng.weibullvariate(scale, shape)),
    "lomax": Family(("shape", "scale"), lambda shape, scale: lambda rng: scale * (rng.paretovariate(shape) - 1)),
    "bimodal": Family(("first", "second", "share"), _bimodal, (4, 40, 0.3)),
    "never": Family((), lambda: lambda rng: math.inf, ()),
}

_TERM = re.compile(r"(?P<number>\d+(?:\.\d+)?|\.\d+)|(?P<name>[a-z]+)\s*(?:\((?P<parameters>[^()]*)\))?")


def parse_distribution(text: str) -> Distribution:
    """Read a number, a distribution, or a sum of them. Raises ValueError that states the expected form."""
    terms = [term.strip() for term in text.split("+")]
    return Distribution("+".join(terms), tuple(_parse_term(term) for term in terms))


def _parse_term(text: str) -> Draw:
    match = _TERM.fullmatch(text)
    if match is None or (match["name"] is not None and match["name"] not in FAMILIES):
        known = ", ".join(family.usage(name) for name, family in FAMILIES.items())
        raise ValueError(f"unknown distribution {text!r}: write a number of seconds, one of {known}, or a sum such as 10+exponential(4)")
    if match["number"] is not None:
        return _fixed(float(match["number"]))
    family = FAMILIES[match["name"]]
    return family.make(*_parse_parameters(text, match["name"], family, match["parameters"]))


def _fixed(seconds: float) -> Draw:
    return lambda rng: seconds


def _parse_parameters(text: str, name: str, family: Family, written: str | None) -> tuple[float, ...]:
    if written is None and family.default is not None:
        return family.default
    parts = [part.strip() for part in written.split(",")] if written and written.strip() else []
    try:
        values = tuple(float(part) for part in parts)
    except ValueError:
        raise ValueError(f"{text!r}: the parameters must be numbers, as in {family.usage(name)}") from None
    if len(values) != len(family.parameters):
        raise ValueError(f"{text!r}: expected {len(family.parameters)} parameters, got {len(values)}: {family.usage(name)}")
    for label, value in zip(family.parameters, values, strict=True):
        if not math.isfinite(value) or value < 0 or (label == "shape" and value == 0):
            raise ValueError(f"{text!r}: {label} cannot be {value:g}")
    return values


@dataclass(frozen=True, slots=True)
class StatusDurations:
    """How long a task stays in the queue, and how long it runs after that."""

    queue: Distribution
    run: Distribution

    @property
    def text(self) -> str:
        """Both distributions as text, in the form that `parse_durations` reads."""
        return f"queue={self.queue.text},run={self.run.text}"


DEFAULT_QUEUE = "exponential(1)"
"""The time in the queue where the text names only the run."""


def parse_durations(text: str) -> StatusDurations:
    """Read `run=D`, `queue=D,run=D`, or one distribution, which is the run. Raises ValueError that states the expected form."""
    parts: dict[str, Distribution] = {}
    for part in re.split(r",(?![^()]*\))", text):
        name, distribution = part.split("=", 1) if "=" in part else ("run", part)
        name = name.strip()
        if name not in ("queue", "run") or name in parts:
            raise ValueError(
                f"{part.strip()!r}: write one distribution, or queue=DISTRIBUTION,run=DISTRIBUTION with each name at most one time"
            )
        parts[name] = parse_distribution(distribution)
    if "run" not in parts:
        raise ValueError(f"{text!r} does not define how long a task runs: add run=DISTRIBUTION, such as run=10+exponential(4)")
    return StatusDurations(parts.get("queue") or parse_distribution(DEFAULT_QUEUE), parts["run"])


def _as_distribution(value: Any) -> Any:
    return parse_distribution(str(value)) if isinstance(value, str | int | float) else value


def _as_durations(value: Any) -> Any:
    return parse_durations(str(value)) if isinstance(value, str | int | float) else value


_TEXT = PlainSerializer(lambda value: value.text, return_type=str)
DistributionSetting = Annotated[Distribution, BeforeValidator(_as_distribution), _TEXT, WithJsonSchema({"type": "string"})]
"""A setting that holds a distribution, written as text."""
DurationsSetting = Annotated[StatusDurations, BeforeValidator(_as_durations), _TEXT, WithJsonSchema({"type": "string"})]
"""A setting that holds the durations of queue and run, written as text."""
