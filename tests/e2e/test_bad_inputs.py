"""Invalid messages and invalid configurations, each given once to a real `watcher run`."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.queues import Queue
from tests.e2e.scene import (
    CONNECTOR,
    QUIET,
    RUN,
    check_events,
    configure,
    dead_letters,
    ends,
    events,
    free_port,
    service,
    tasks,
    until,
    until_async,
    until_metric,
)
from tests.moto_server import environment
from tests.process import WatcherProcess
from watcher.core.intake.strict_json import MAX_BODY
from watcher.model import TaskRef
from watcher.simulator import simulator

pytestmark = pytest.mark.process

MESSAGES = Path(__file__).parent.parent / "data" / "messages"
NAMED = TaskRef("speaker-search", ("abcdef1ghij2klmno3pqr4", "2f6f7d1e-6b0c-4a58-9d3e-0d6a5c1b7a11"))
"""The task that every accepted message names."""


def fits_sqs(body: bytes) -> bool:
    """Whether SQS takes it: some text of characters that XML allows."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return False
    return body != b"" and len(body) <= MAX_BODY and all(c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" for c in text)


async def test_each_invalid_message_is_a_dead_letter_and_the_others_are_watched(moto_url: str, tmp_path: Path) -> None:
    """Every message of tests/data/messages comes over a queue, or in a file where a queue cannot carry it: the invalid ones become
    dead letters with their reasons, members that a message may not set are ignored and counted, an SNS confirmation is acknowledged
    and its URL never fetched, and a task named 1,000 times is one watch."""
    rejected = {path.name: path.read_bytes() for path in sorted((MESSAGES / "rejected").iterdir())}
    accepted = [path.read_bytes() for path in sorted((MESSAGES / "accepted").iterdir())]
    own, refs, url = tasks(1)[0], tasks(2), f"127.0.0.1:{free_port()}"
    clamped = {"VoiceConnectorId": CONNECTOR, "SpeakerSearchTaskId": refs[1].params[1], "deadline_s": 10 * 365 * 86_400}
    async with simulator(QUIET) as sim:
        confirmation = {"Type": "SubscriptionConfirmation", "MessageId": "1", "Token": "t", "TopicArn": "a"}
        confirmation["SubscribeURL"] = f"{sim.url}/confirm"
        queue = Queue(moto_url)
        await queue.create()
        await queue.send(body.decode() for body in accepted)
        await queue.send([json.dumps(confirmation), *(body.decode() for body in rejected.values() if fits_sqs(body))])
        in_file = [body.replace(b"\n", b" ") for body in rejected.values() if body and not fits_sqs(body)]
        huge = b'{"VoiceConnectorId": "' + b"a" * (2 * MAX_BODY) + b'"}'
        lines = [*in_file, huge, json.dumps(clamped).encode(), *["/".join(own.params).encode()] * 1000]
        (tmp_path / "tasks.txt").write_bytes(b"\n".join(lines))
        sources = [{"type": "sqs", "queue_url": queue.url, "wait": 1}, {"type": "lines", "path": "tasks.txt"}]
        configure(tmp_path, sources=sources, api={"listen": url})
        watcher = WatcherProcess(tmp_path, {**environment(moto_url), **sim.environment})
        with watcher.running(*RUN):
            await until(lambda: ends(tmp_path / "events.jsonl") == {ref.key for ref in (*refs, NAMED)}, watcher)
            await until_async(queue.is_empty, watcher)
            metrics = await until_metric(f"http://{url}", 'watcher_inputs_total{outcome="known",source="lines"}', watcher, 999)
            letters = await dead_letters(watcher)
            watcher.send(signal.SIGTERM)
            assert await watcher.wait() == 143
        expected = Counter(name.split(".")[0] for name, body in rejected.items() if body) + Counter(["size"])
        assert Counter(letter["reason"] for letter in letters) == expected
        assert sim.stats.outcomes.total() == sim.stats.outcomes["ok"], "calls for tasks only: no confirmation, no stop"
        check_events(events(tmp_path / "events.jsonl"), [*refs, NAMED], sim)
    assert 'outcome="steering_ignored",source="sqs"' in metrics
    assert 'watcher_inputs_total{outcome="known",source="lines"} 999.0' in metrics


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        (None, ["watcher.yaml:1"]),
        (
            "sources: [{type: lines, pth: x}]\nsinks: [{type: pigeon}]\npace: {rate: -1}\napi: {listen: 8080}\n",
            [f"watcher.yaml:{line}" for line in (1, 2, 3, 4)],
        ),
    ],
)
async def test_every_mistake_of_a_configuration_is_reported_at_once_with_78(tmp_path: Path, text: str | None, mistakes: list[str]) -> None:
    """A configuration that cannot run is answered with all of its mistakes, each with file and line, before anything is opened."""
    if text is not None:
        (tmp_path / "watcher.yaml").write_text(text)
    async with simulator() as sim:
        watcher = service(tmp_path, sim)
        assert await watcher.run(*RUN) == 78, watcher.text()
    assert [line.split(": ")[0] for line in watcher.text().splitlines()] == mistakes, watcher.text()
    assert sim.stats.requests == 0
    assert not (tmp_path / "watcher.db").exists()
