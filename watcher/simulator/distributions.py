"""Laws of random durations, written as text: `lognormal(10,0.8)`, `10+exponential(4)`, `queue=fixed(1),run=uniform(5,15)`.

A law holds no state: whoever draws from it hands in the dice, so the same dice give the same duration.
All figures are seconds.
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
    """A random duration in seconds, never negative. Two laws are equal when they are written alike."""

    text: str
    draws: tuple[Draw, ...] = field(compare=False, repr=False)

    def draw(self, dice: Random) -> float:
        """One duration, in seconds."""
        return max(0.0, sum(draw(dice) for draw in self.draws))


@dataclass(frozen=True, slots=True)
class Family:
    """A family of laws: what its figures are called, what they are when left out, and how to draw."""

    figures: tuple[str, ...]
    make: Callable[..., Draw]
    default: tuple[float, ...] | None = None

    def usage(self, name: str) -> str:
        """How it is written."""
        return f"{name}({','.join(self.figures)})" if self.figures else name


def _bimodal(first: float, second: float, share: float) -> Draw:
    """Two peaks a tenth of their place wide: the second one for `share` of the draws."""

    def draw(dice: Random) -> float:
        peak = second if dice.random() < share else first
        return dice.gauss(peak, peak / 10)

    return draw


FAMILIES: Mapping[str, Family] = {
    "fixed": Family(("seconds",), lambda seconds: lambda dice: seconds),
    "uniform": Family(("least", "most"), lambda least, most: lambda dice: dice.uniform(least, most)),
    "normal": Family(("mean", "deviation"), lambda mean, deviation: lambda dice: dice.gauss(mean, deviation)),
    "exponential": Family(("mean",), lambda mean: lambda dice: mean * -math.log(1 - dice.random())),
    "lognormal": Family(("median", "sigma"), lambda median, sigma: lambda dice: median * math.exp(dice.gauss(0, sigma))),
    "weibull": Family(("shape", "scale"), lambda shape, scale: lambda dice: dice.weibullvariate(scale, shape)),
    "lomax": Family(("shape", "scale"), lambda shape, scale: lambda dice: scale * (dice.paretovariate(shape) - 1)),
    "bimodal": Family(("first", "second", "share"), _bimodal, (4, 40, 0.3)),
    "never": Family((), lambda: lambda dice: math.inf, ()),
}

_TERM = re.compile(r"(?P<number>\d+(?:\.\d+)?|\.\d+)|(?P<name>[a-z]+)\s*(?:\((?P<figures>[^()]*)\))?")


def parse_distribution(text: str) -> Distribution:
    """A number, a law, or a sum of them. Raises ValueError that says what would be right."""
    terms = [term.strip() for term in text.split("+")]
    return Distribution("+".join(terms), tuple(_term(term) for term in terms))


def _term(text: str) -> Draw:
    match = _TERM.fullmatch(text)
    if match is None or (match["name"] is not None and match["name"] not in FAMILIES):
        known = ", ".join(family.usage(name) for name, family in FAMILIES.items())
        raise ValueError(f"{text!r} is no law of durations: write a number of seconds, one of {known}, or a sum such as 10+exponential(4)")
    if match["number"] is not None:
        return _fixed(float(match["number"]))
    family = FAMILIES[match["name"]]
    return family.make(*_figures(text, match["name"], family, match["figures"]))


def _fixed(seconds: float) -> Draw:
    return lambda dice: seconds


def _figures(text: str, name: str, family: Family, written: str | None) -> tuple[float, ...]:
    if written is None and family.default is not None:
        return family.default
    parts = [part.strip() for part in written.split(",")] if written and written.strip() else []
    try:
        figures = tuple(float(part) for part in parts)
    except ValueError:
        raise ValueError(f"{text!r}: its figures must be numbers, as in {family.usage(name)}") from None
    if len(figures) != len(family.figures):
        raise ValueError(f"{text!r} has {len(figures)} figures, {len(family.figures)} are needed: {family.usage(name)}")
    for label, figure in zip(family.figures, figures, strict=True):
        if not math.isfinite(figure) or figure < 0 or (label == "shape" and figure == 0):
            raise ValueError(f"{text!r}: {label} cannot be {figure:g}")
    return figures


@dataclass(frozen=True, slots=True)
class Durations:
    """How long a task waits in the queue, and how long it runs then."""

    queue: Distribution
    run: Distribution

    @property
    def text(self) -> str:
        """As it would be written in full."""
        return f"queue={self.queue.text},run={self.run.text}"


QUEUE_WHEN_UNSAID = "exponential(1)"


def parse_durations(text: str) -> Durations:
    """`run=LAW`, `queue=LAW,run=LAW`, or one law, which is the run. Raises ValueError that says what would be right."""
    parts: dict[str, Distribution] = {}
    for part in re.split(r",(?![^()]*\))", text):
        name, law = part.split("=", 1) if "=" in part else ("run", part)
        name = name.strip()
        if name not in ("queue", "run") or name in parts:
            raise ValueError(f"{part.strip()!r}: durations are one law, or queue=LAW,run=LAW with each named once")
        parts[name] = parse_distribution(law)
    if "run" not in parts:
        raise ValueError(f"{text!r} does not say how long a task runs: add run=LAW, such as run=10+exponential(4)")
    return Durations(parts.get("queue") or parse_distribution(QUEUE_WHEN_UNSAID), parts["run"])


def _law(value: Any) -> Any:
    return parse_distribution(str(value)) if isinstance(value, str | int | float) else value


def _durations(value: Any) -> Any:
    return parse_durations(str(value)) if isinstance(value, str | int | float) else value


_TEXT = PlainSerializer(lambda law: law.text, return_type=str)
LawText = Annotated[Distribution, BeforeValidator(_law), _TEXT, WithJsonSchema({"type": "string"})]
"""A law in a setting, written as text."""
DurationsText = Annotated[Durations, BeforeValidator(_durations), _TEXT, WithJsonSchema({"type": "string"})]
"""Queue and run in a setting, written as text."""
