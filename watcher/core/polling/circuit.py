"""One circuit breaker, closed or open, and the change that reports it. What opens it is decided in `circuits.py`."""

from __future__ import annotations

from dataclasses import dataclass

from watcher.model import DEFAULT_TARGET

PROBE_FIRST_S, PROBE_MAX_S = 5.0, 60.0
"""The interval before the first probe, and the longest one; each is twice as long as the one before. In seconds."""


@dataclass(frozen=True, slots=True)
class CircuitChange:
    """A circuit that opened or closed, or that is kept open by another error now. `code` is that of the last error that opened it."""

    name: str
    target: str
    service: str | None
    """None for `credentials`, which all services of the target share."""
    opened: bool
    code: str

    @property
    def component(self) -> str:
        """The name in health reports."""
        return component(self.name, self.target, self.service)


def component(name: str, target: str, service: str | None) -> str:
    """`circuit:credentials`, or `circuit:outage:SERVICE`; `:TARGET` follows unless it is the default one."""
    parts = ["circuit", name, service, None if target == DEFAULT_TARGET else target]
    return ":".join(part for part in parts if part is not None)


class Circuit:
    """One circuit, closed or open. Times are monotonic seconds."""

    def __init__(self, name: str, target: str, service: str | None = None) -> None:
        self.name = name
        self.is_open = False
        self.probe_at = 0.0
        """Open: when the next probe may go."""
        self._target, self._service = target, service
        self._code = ""
        self._interval = PROBE_FIRST_S

    def open(self, code: str, now: float) -> list[CircuitChange]:
        """Open it for this error code. While it is open, a probe with another code is reported too: the cause is another one now."""
        if self.is_open and (code == self._code or now < self.probe_at):
            return []
        if not self.is_open:
            self.is_open, self._interval, self.probe_at = True, PROBE_FIRST_S, now + PROBE_FIRST_S
        self._code = code
        return [CircuitChange(self.name, self._target, self._service, True, code)]

    def close(self) -> list[CircuitChange]:
        """Close it, unless it is closed."""
        if not self.is_open:
            return []
        self.is_open = False
        return [CircuitChange(self.name, self._target, self._service, False, self._code)]

    def probed(self, now: float, *, free: bool = False) -> None:
        """Put off the next probe: a call just ended, or a probe just left, that did not close this circuit.

        `free` means that the probe cost no call, so that the next one may follow soon.
        """
        if self.is_open and now >= self.probe_at:  # an earlier call was no probe, only in flight when the circuit opened
            self._interval = PROBE_FIRST_S if free else min(PROBE_MAX_S, self._interval * 2)
            self.probe_at = now + self._interval
