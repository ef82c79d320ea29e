"""A fake Amazon Chime SDK Voice service, in process or on a port, whose tasks live by a seeded law.

    async with simulator(Scenario(seed=7, quota=20, faults={"503": 0.02})) as sim:
        client = session.client("chime-sdk-voice", endpoint_url=sim.url, ...)

It ships with the package so that users can test their own consumers. It may not import an adapter, nor botocore.
"""

from __future__ import annotations

from watcher.simulator.probe import SimulatedProbe
from watcher.simulator.scenario import Scenario
from watcher.simulator.server import Simulator, serve, simulator
from watcher.simulator.service import Service, Stats
from watcher.simulator.task_table import TaskTable

__all__ = ["Scenario", "Service", "SimulatedProbe", "Simulator", "Stats", "TaskTable", "serve", "simulator"]
