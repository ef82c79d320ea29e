"""B01 to B08 and B10 of the bad inputs, each made once through a real `watcher run`."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.e2e.process import WatcherProcess
from tests.e2e.scene import CONNECTOR, check_story, configure, ends, events, free_port, get, service, tasks, until
from tests.moto_server import environment, plain_client
from watcher.core.intake.submissions import MAX_BODY
from watcher.model import TaskRef
from watcher.simulator import Scenario, simulator
from watcher.simulator.distributions import parse_durations

pytestmark = pytest.mark.process

MESSAGES = Path(__file__).parent.parent / "data" / "messages"
NAMED = TaskRef("speaker-search", ("abcdef1ghij2klmno3pqr4", "2f6f7d1e-6b0c-4a58-9d3e-0d6a5c1b7a11"))
"""The task that every accepted message names."""
QUIET = Scenario(partial=0, durations=parse_durations("queue=fixed(0.1),run=fixed(0.5)"))


def _fits_sqs(body: bytes) -> bool:
    """What SQS takes: text that XML can carry, and some of it."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return False
    return body != b"" and len(body) <= MAX_BODY and all(c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" for c in text)


async def test_each_bad_message_is_a_dead_letter_with_its_reason_and_its_mates_are_watched(moto_url: str, tmp_path: Path) -> None:
    """B01-B08: every vector of tests/data/messages over a queue, or a file where a queue cannot carry it; what a message may not
    choose is ignored and counted; an SNS confirmation is acknowledged and its URL never fetched; a task named 1,000 times is one."""
    rejected = {path.name: path.read_bytes() for path in sorted((MESSAGES / "rejected").iterdir())}
    accepted = [path.read_bytes() for path in sorted((MESSAGES / "accepted").iterdir())]
    own, refs, port = tasks(1)[0], tasks(2), free_port()
    clamped = {"VoiceConnectorId": CONNECTOR, "SpeakerSearchTaskId": refs[1].params[1], "deadline_s": 10 * 365 * 86_400}
    async with simulator(QUIET) as sim:
        confirmation = {
            "Type": "SubscriptionConfirmation",
            "MessageId": "1",
            "Token": "t",
            "TopicArn": "a",
            "SubscribeURL": f"{sim.url}/confirm",
        }
        queued = [*accepted, json.dumps(confirmation).encode(), *(body for body in rejected.values() if _fits_sqs(body))]
        filed = {name: body for name, body in rejected.items() if body and not _fits_sqs(body)}
        huge = b'{"VoiceConnectorId": "' + b"a" * (2 * MAX_BODY) + b'"}'
        lines = (
            [body.replace(b"\n", b" ") for body in filed.values()]
            + [huge, json.dumps(clamped).encode()]
            + ["/".join(own.params).encode()] * 1000
        )
        (tmp_path / "tasks.txt").write_bytes(b"\n".join(lines))
        sqs, queue = await anyio.to_thread.run_sync(_queue, moto_url, queued)
        sources = [{"type": "sqs", "queue_url": queue, "wait": 1}, {"type": "lines", "path": "tasks.txt"}]
        configure(tmp_path, sources=sources, api={"listen": f"127.0.0.1:{port}"}, cadence={"type": "fixed", "every": 0.5})
        watcher = WatcherProcess(tmp_path, {**environment(moto_url), **sim.environment})
        await watcher.start("run", "--config", "watcher.yaml")
        try:
            await until(lambda: ends(tmp_path / "events.jsonl") == {ref.key for ref in (*refs, NAMED)}, watcher)
            with anyio.fail_after(20):
                while await anyio.to_thread.run_sync(_left, sqs, queue):  # noqa: ASYNC110 - a queue rings no bell
                    await anyio.sleep(0.1)
            metrics = (await get(f"http://127.0.0.1:{port}/metrics")).text
            letters = await _letters(watcher)
            watcher.send(signal.SIGTERM)
            assert await watcher.wait(25) == 143
        finally:
            await watcher.kill()
        expected = Counter(name.split(".")[0] for name, body in rejected.items() if body) + Counter(["size"])
        assert Counter(letter["reason"] for letter in letters) == expected
        assert sim.stats.outcomes.total() == sim.stats.outcomes["ok"], "nothing but tasks was asked for: no confirmation, no stop"
        check_story(events(tmp_path / "events.jsonl"), [*refs, NAMED], sim)
    assert 'outcome="steering_ignored",source="sqs"' in metrics
    assert 'watcher_inputs_total{outcome="known",source="lines"} 999.0' in metrics


async def test_every_mistake_of_a_configuration_is_told_at_once_with_78(tmp_path: Path) -> None:
    """B10: what cannot run says file, line, key and what would be right, before anything is opened."""
    configurations = {
        "missing": (None, "missing.yaml"),
        "empty": ("", "is empty"),
        "tab": ("sources:\n\t- {type: lines}\n", "tab.yaml:2"),
        "twice": ("sources: [{type: lines}]\nsinks: [{type: jsonl}]\nsinks: []\n", "twice.yaml:3"),
        "typo": ("sources: [{type: lines}]\nsinks: [{type: jsonl}]\nstroe: {type: memory}\n", "did you mean"),
        "unset": ("sources: [{type: lines, path: '${NOT_THERE}'}]\nsinks: [{type: jsonl}]\n", "NOT_THERE"),
        "several": ("sources: [{type: lines, pth: x}]\nsinks: [{type: pigeon}]\npace: {rate: -1}\napi: {listen: 8080}\n", "pigeon"),
    }

    async def one(name: str, text: str | None, word: str) -> None:
        if text is not None:
            (tmp_path / f"{name}.yaml").write_text(text)
        watcher = service(tmp_path, sim, name)
        assert await watcher.run("run", "--config", f"{name}.yaml") == 78, watcher.words()
        said = watcher.words()
        assert word in said, said
        assert "Traceback" not in said
        if name == "several":
            assert [line.split(": ")[0] for line in said.splitlines()] == [f"several.yaml:{n}" for n in (1, 2, 3, 4)], said

    async with simulator() as sim, anyio.create_task_group() as runs:
        for name, (text, word) in configurations.items():
            runs.start_soon(one, name, text, word)
    assert sim.stats.requests == 0
    assert not (tmp_path / "watcher.db").exists()


async def _letters(watcher: WatcherProcess) -> list[dict[str, Any]]:
    lister = WatcherProcess(watcher.directory, watcher.environment, "letters")
    assert await lister.run("dead-letters", "list", "--config", "watcher.yaml", "--json") == 0, lister.words()
    found: list[dict[str, Any]] = json.loads(lister.out.read_text())
    return found


def _queue(url: str, bodies: list[bytes]) -> tuple[Any, str]:
    sqs = plain_client("sqs", url)
    queue = sqs.create_queue(QueueName="tasks")["QueueUrl"]
    for body in bodies:
        sqs.send_message(QueueUrl=queue, MessageBody=body.decode())
    return sqs, queue


def _left(sqs: Any, queue: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)
