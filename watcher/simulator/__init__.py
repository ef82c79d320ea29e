"""Fake services of AWS, in process or on a port, whose tasks depend on a seed: Amazon Chime SDK Voice, and those of any other kind.

    async with simulator(Scenario(seed=7, quota=20, faults={"503": 0.02}), kinds=builtin_catalog) as sim:
        client = session.client("batch", endpoint_url=sim.url, ...)

It is part of the package so that users can test their own consumers. It must not import an adapter. The voice service must not import
`watcher.kinds` or botocore; the services of other kinds, in `declared`, need both.
"""

from __future__ import annotations

from watcher.simulator.probe import SimulatedProbe
from watcher.simulator.scenario import Scenario
from watcher.simulator.server import Simulator, serve, simulator
from watcher.simulator.service import Stats, VoiceService
from watcher.simulator.task_table import TaskTable

__all__ = ["Scenario", "SimulatedProbe", "Simulator", "Stats", "TaskTable", "VoiceService", "serve", "simulator"]
