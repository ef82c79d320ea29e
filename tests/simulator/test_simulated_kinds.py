from __future__ import annotations

import time

import botocore.session
import pytest
from botocore.model import ServiceModel

from tests.simulator.conftest import Client
from watcher.adapters.aws.reply import read_reply
from watcher.kinds.catalog import builtin_catalog
from watcher.model import TaskRef
from watcher.simulator import Scenario, SimulatedProbe, simulator
from watcher.simulator.simulated_kinds import (
    MAX_CONNECTOR,
    MAX_TASK_ID,
    SIMULATED_KINDS,
    SPEAKER_SEARCH,
    STATUSES,
    Match,
    SimulatedKind,
    search_details,
)


@pytest.fixture(scope="module")
def model() -> ServiceModel:
    """The API model of AWS that the SDK ships."""
    return botocore.session.Session().get_service_model("chime-sdk-voice")


each_kind = pytest.mark.parametrize("kind", SIMULATED_KINDS.values(), ids=lambda kind: kind.name)


@each_kind
def test_operations_have_the_urls_of_the_api_model(model: ServiceModel, kind: SimulatedKind) -> None:
    """Start, Get and Stop have the methods, paths and required members of the API model."""
    task, path = kind.task_member, f"/voice-connectors/{{VoiceConnectorId}}/{kind.path}"
    start, get, stop = (model.operation_model(f"{verb}{task}") for verb in ("Start", "Get", "Stop"))
    assert (start.http["method"], start.http["requestUri"], start.http["responseCode"]) == ("POST", path, 201)
    assert (get.http["method"], get.http["requestUri"]) == ("GET", f"{path}/{{{kind.id_member}}}")
    assert (stop.http["method"], stop.http["requestUri"], stop.http["responseCode"]) == (
        "POST",
        f"{get.http['requestUri']}?operation=stop",
        204,
    )
    assert set(start.input_shape.required_members) == {"VoiceConnectorId", *kind.required}
    assert ("IsCaller" in get.input_shape.required_members) == kind.get_needs_is_caller


@each_kind
def test_replies_have_the_members_of_the_api_model(model: ServiceModel, kind: SimulatedKind) -> None:
    """The members of a task, and the limits on its ids, are those of the API model."""
    get = model.operation_model(f"Get{kind.task_member}")
    members = get.output_shape.members[kind.task_member].members
    assert {kind.id_member, kind.status_member, "CallDetails", "CreatedTimestamp", "StartedTimestamp", "UpdatedTimestamp"} <= set(members)
    assert (kind.details_member in members) == (kind.details_member is not None)
    assert get.input_shape.members["VoiceConnectorId"].metadata["max"] == MAX_CONNECTOR
    assert get.input_shape.members[kind.id_member].metadata["max"] == MAX_TASK_ID


def test_a_result_has_the_members_of_the_api_model(model: ServiceModel) -> None:
    """The members of a search result are those of the API model."""
    members = model.operation_model("GetSpeakerSearchTask").output_shape.members[SPEAKER_SEARCH.task_member].members
    assert SPEAKER_SEARCH.details_member is not None
    details = search_details([Match("p", 0.5)], "VoiceprintGenerationSuccess")
    assert set(details) == set(members[SPEAKER_SEARCH.details_member].members)
    assert set(details["Results"][0]) == set(members[SPEAKER_SEARCH.details_member].members["Results"].member.members)


async def test_an_observation_is_what_the_watcher_reads_from_the_reply(client: Client) -> None:
    """For tasks in all statuses the simulated probe observes what the watcher reads from the reply over HTTP."""
    durations = "queue=uniform(0,1.5),run=uniform(0,1)"
    scenario = Scenario(latency=0, durations=durations, partial=0.5, partial_stays=0.5, failed=0.2, stopped=0.2)
    now = time.time()
    seen = set()
    async with simulator(scenario, clock=lambda: now) as sim, client(sim) as sdk:
        for i in range(60):
            sim.tasks.find(SPEAKER_SEARCH, "vc", f"t{i}", now - 1.0)
            ref = TaskRef("speaker-search", ("vc", f"t{i}"))
            reply = await sdk.get_speaker_search_task(VoiceConnectorId="vc", SpeakerSearchTaskId=f"t{i}")
            observation = await SimulatedProbe(sim.service).observe_one(ref)
            assert observation == read_reply(builtin_catalog()["speaker-search"], ref, reply, now)
            seen.add(observation.status)
    assert seen == set(STATUSES)
