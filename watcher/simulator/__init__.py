"""A fake Amazon Chime SDK Voice service, in process or on a port, whose tasks depend on a seed.

    async with simulator(Scenario(seed=7, quota=20, faults={"503": 0.02})) as sim:
        client = session.client("chime-sdk-voice", endpoint_url=sim.url, ...)

It is part of the package so that users can test their own consumers. It must not import an adapter, `watcher.kinds` or botocore.
"""

from __future__ import annotations

from watcher.simulator.probe import SimulatedProbe
from watcher.simulator.scenario import Scenario
from watcher.simulator.server import Simulator, serve, simulator
from watcher.simulator.service import Stats, VoiceService
from watcher.simulator.task_table import TaskTable

__all__ = ["Scenario", "SimulatedProbe", "Simulator", "Stats", "TaskTable", "VoiceService", "serve", "simulator"]
