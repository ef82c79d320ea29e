from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CATALOG, Command, in_thread
from tests.moto_server import plain_client
from tests.scripted_aws import ScriptedAws
from watcher.core.intake.submissions import read
from watcher.model import Submission


class Inbox:
    """A queue at moto's server, and what came into it."""

    def __init__(self, url: str, name: str = "tasks", **attributes: str) -> None:
        self._sqs: Any = plain_client("sqs", url)
        self.url: str = self._sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def messages(self) -> list[dict[str, Any]]:
        got: list[dict[str, Any]] = []
        while more := self._sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"], AttributeNames=["All"]
        ).get("Messages"):
            got += more
        return got

    def submissions(self) -> list[Submission]:
        """What a watcher makes of them."""
        read_ = [outcome for message in self.messages() for outcome in read(message["Body"].encode(), CATALOG, now=0.0)]
        assert all(isinstance(outcome, Submission) for outcome in read_)
        return [outcome for outcome in read_ if isinstance(outcome, Submission)]


@pytest.fixture
def inbox(moto_url: str, here: Path) -> Inbox:
    """A queue that `q.yaml` names as its source."""
    made = Inbox(moto_url)
    (here / "q.yaml").write_text(f"sources: [{{type: sqs, queue_url: '{made.url}'}}]\nsinks: [{{type: jsonl}}]\n", encoding="utf-8")
    return made


def test_tasks_named_as_arguments_reach_the_queue(command: Command, inbox: Inbox) -> None:
    """Through the configuration's source, with what the options say, as the watcher will read it."""
    options = ("--config", "q.yaml", "--context", '{"call": "c-42"}', "--deadline", "2h")
    ended = command("submit", "abc/t1", "voice-tone/abc/t2", *options)
    assert (ended.code, ended.out, ended.err) == (0, "submitted 2 tasks to the queue tasks\n", "")
    told = {submission.ref.key: (submission.context, submission.deadline_s) for submission in inbox.submissions()}
    assert told == {"speaker-search/abc/t1": ('{"call":"c-42"}', 7200), "voice-tone/abc/t2": ('{"call":"c-42"}', 7200)}


def test_a_kind_applies_to_what_does_not_say_its_own(command: Command, inbox: Inbox) -> None:
    """--kind is for VC/TASK; kind/VC/TASK says it itself."""
    command("submit", "abc/t1", "speaker-search/abc/t2", "--kind", "voice-tone", "--queue-url", inbox.url)
    assert {submission.ref.key for submission in inbox.submissions()} == {"voice-tone/abc/t1", "speaker-search/abc/t2"}


def test_lines_of_a_file_go_in_batches(command: Command, inbox: Inbox, here: Path) -> None:
    """Blank lines and comments are passed over, JSON goes byte for byte, and more than ten go in more than one call."""
    message = '{"SpeakerSearchTaskId": "t99",  "VoiceConnectorId": "abc"}'
    lines = [f"abc/t{n}" for n in range(25)] + ["", "# not this one", message, '[{"VoiceConnectorId":"abc","SpeakerSearchTaskId":"a"}]']
    (here / "tasks.txt").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    ended = command("submit", "--file", "tasks.txt", "--queue-url", inbox.url)
    assert ended.out == "submitted 27 tasks to the queue tasks\n"
    bodies = [got["Body"] for got in inbox.messages()]
    assert len(bodies) == 27
    assert message in bodies


def test_stdin_is_read_for_a_dash(command: Command, inbox: Inbox) -> None:
    """One message may name several tasks, and the count says both."""
    two = b'[{"VoiceConnectorId":"abc","SpeakerSearchTaskId":"a"},{"VoiceConnectorId":"abc","SpeakerSearchTaskId":"b"}]'
    ended = command("submit", "-", "--queue-url", inbox.url, stdin=two)
    assert ended.out == "submitted 2 tasks in 1 message to the queue tasks\n"


BAD = b'abc/good\nabc\n{"VoiceConnectorId":"abc"}\n{bad\nabc/x?y\n\xff/t\n{"Type":"SubscriptionConfirmation"}\n'


def test_one_bad_line_and_nothing_is_sent(command: Command, inbox: Inbox) -> None:
    """Each bad line with its number and reason, exit 64, and the good ones stay here too."""
    ended = command("submit", "-", "--config", "q.yaml", stdin=BAD)
    assert (ended.code, ended.out) == (64, "")
    *told, last = ended.err.splitlines()
    assert [line.split(":")[:3] for line in told] == [
        ["stdin", "2", " shape"],
        ["stdin", "3", " field"],
        ["stdin", "4", " parse"],
        ["stdin", "5", " id"],
        ["stdin", "6", " encoding"],
        ["stdin", "7", " shape"],
    ]
    assert last == "nothing was sent; --skip-bad sends the good ones"
    assert inbox.messages() == []


def test_skip_bad_sends_the_good_ones(command: Command, inbox: Inbox) -> None:
    """The bad ones are still told, on stderr."""
    ended = command("submit", "-", "--config", "q.yaml", "--skip-bad", stdin=BAD)
    assert (ended.code, ended.out) == (0, "submitted 1 task to the queue tasks\n")
    assert "stdin:2: shape" in ended.err
    assert [submission.ref.key for submission in inbox.submissions()] == ["speaker-search/abc/good"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("abc/t1",), "--queue-url"),
        ((), "VC/TASK"),
        (("abc/t1", "--kind", "nope"), "the kinds are"),
        (("abc/t1", "--context", "{a"), "it is no JSON"),
        (("abc/t1", "--deadline", "2weeks"), "expected a duration"),
        (("abc/t1", "--deadline", "0"), "some time from now"),
        (("abc/t1", "--source", "nope"), "sqs"),
        (('{"VoiceConnectorId":"a","SpeakerSearchTaskId":"b"}', "--deadline", "2h"), "argument 1: field: --context and --deadline"),
        (("-",), "no tasks"),
        (("abc/t1", "--context", '"' + "x" * 5000 + '"'), "larger than 4096 bytes"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(command: Command, inbox: Inbox, arguments: tuple[str, ...], words: str) -> None:
    """Exit 64 with what would be right."""
    target = () if arguments == ("abc/t1",) else ("--config", "q.yaml")
    ended = command("submit", *arguments, *target)
    assert (ended.code, ended.out) == (64, "")
    assert words in " ".join(ended.err.replace("│", " ").split())
    assert inbox.messages() == []


def test_an_arn_for_a_url_is_told_with_the_url(command: Command) -> None:
    """Exit 64, and the URL that was meant."""
    ended = command("submit", "abc/t1", "--queue-url", "arn:aws:sqs:us-east-1:123456789012:tasks")
    assert ended.code == 64
    assert "https://sqs.us-east-1.amazonaws.com/123456789012/tasks" in ended.err


def test_a_missing_queue_ends_with_69(command: Command, inbox: Inbox) -> None:
    """Nothing was sent, and a hint says where to look."""
    ended = command("submit", "abc/t1", "--queue-url", f"{inbox.url}x")
    assert (ended.code, ended.out) == (69, "")
    assert ended.err.startswith("nothing was sent: AWS.SimpleQueueService.NonExistentQueue")
    assert "its account, and AWS_REGION" in ended.err


@pytest.mark.parametrize(
    ("gone", "hint"),
    [
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "no credentials were found"),
        (("AWS_REGION", "AWS_DEFAULT_REGION"), "set the Region"),
    ],
)
def test_missing_credentials_and_region_end_with_78(
    command: Command, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, gone: tuple[str, ...], hint: str
) -> None:
    """It is set up wrong: the hint says which variable would mend it."""
    for name in gone:
        monkeypatch.delenv(name)
    ended = command("submit", "abc/t1", "--queue-url", inbox.url)
    assert (ended.code, ended.out) == (78, "")
    assert hint in ended.err


def test_a_profile_that_is_not_there_ends_with_78(command: Command, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint names AWS_PROFILE; there is no traceback."""
    monkeypatch.setenv("AWS_PROFILE", "nope")
    ended = command("submit", "abc/t1", "--queue-url", inbox.url)
    assert ended.code == 78
    assert ended.err.startswith("nothing was sent: ProfileNotFound; the AWS configuration cannot be used: check AWS_PROFILE")
    assert len(ended.err.splitlines()) == 1


def test_a_fifo_queue_groups_by_task(command: Command, moto_url: str) -> None:
    """The same message twice is one message, and the task is its group."""
    inbox = Inbox(moto_url, "tasks.fifo", FifoQueue="true")
    for _ in range(2):
        assert command("submit", "abc/t1", "--queue-url", inbox.url).code == 0
    [message] = inbox.messages()
    assert message["Attributes"]["MessageGroupId"] == "speaker-search/abc/t1"


def test_several_queues_want_a_name(command: Command, inbox: Inbox, here: Path) -> None:
    """--source chooses; without it the names are told."""
    one, two = (f"{{type: sqs, name: {name}, queue_url: '{inbox.url}{end}'}}" for name, end in (("one", ""), ("two", "2")))
    text = f"sources: [{one}, {two}]\nsinks: [{{type: jsonl}}]\n"
    (here / "q.yaml").write_text(text, encoding="utf-8")
    refused = command("submit", "abc/t1", "--config", "q.yaml")
    assert refused.code == 64
    assert "one, two" in refused.err
    assert command("submit", "abc/t1", "--config", "q.yaml", "--source", "one").code == 0
    assert len(inbox.messages()) == 1


def test_a_file_that_is_a_source_gets_lines(command: Command, here: Path) -> None:
    """Appended, on lines of their own also after a line without an end, as a watcher reads them."""
    (here / "tasks.txt").write_text("abc/t0", encoding="utf-8")
    ended = command("submit", "abc/t1", "abc/t2", "--config", "w.yaml")
    assert ended.code == 0
    assert ended.out.startswith("appended 2 tasks to tasks.txt")
    lines = (here / "tasks.txt").read_bytes().splitlines()
    keys = [outcome.ref.key for line in lines for outcome in read(line, CATALOG, now=0.0, plain=True) if isinstance(outcome, Submission)]
    assert keys == [f"speaker-search/abc/t{n}" for n in range(3)]


def test_stdin_and_pipes_cannot_be_submitted_to(command: Command, here: Path) -> None:
    """Exit 64 with what to do instead; a pipe that nobody reads does not hold the command up."""
    (here / "s.yaml").write_text("sources: [{type: lines}]\nsinks: [{type: jsonl}]\n", encoding="utf-8")
    ended = command("submit", "abc/t1", "--config", "s.yaml")
    assert (ended.code, ended.err) == (64, "this configuration reads stdin: pipe the tasks into watcher run\n")
    (here / "tasks.txt").unlink()
    os.mkfifo(here / "tasks.txt")
    ended = command("submit", "abc/t1", "--config", "w.yaml")
    assert ended.code == 64
    assert "write VC/TASK lines to tasks.txt" in ended.err


def test_a_message_for_another_region_is_bad(command: Command, inbox: Inbox) -> None:
    """The watcher would reject it, so it is not sent."""
    message = json.dumps({"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "t1", "region": "eu-west-1"})
    assert command("submit", message, "--config", "q.yaml").err.startswith("argument 1: scope")
    assert command("submit", message.replace("eu-west-1", "us-east-1"), "--config", "q.yaml").code == 0


@pytest.mark.parametrize(
    ("failure", "code"),
    [({"Code": "InternalError", "SenderFault": False}, 75), ({"Code": "InvalidMessageContents", "SenderFault": True}, 69)],
)
async def test_what_a_queue_did_not_take_is_told_line_by_line(
    command: Command, scripted_aws: ScriptedAws, failure: dict[str, Any], code: int
) -> None:
    """The others count as submitted; 75 when the same may do later, 69 when it will not."""
    scripted_aws.answer({"Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": ""}], "Failed": [{"Id": "1", **failure}]})
    ended = await in_thread(command, "submit", "abc/t1", "abc/t2", "--queue-url", f"{scripted_aws.url}/123456789012/tasks")
    assert (ended.code, ended.out) == (code, "submitted 1 task to the queue tasks\n")
    assert ended.err.startswith(f"argument 2: not taken: {failure['Code']}")


async def test_a_batch_that_fails_after_another_says_what_is_left(command: Command, scripted_aws: ScriptedAws) -> None:
    """Ten were taken, the call for the other two was not: they are named, exit 75."""
    taken = [{"Id": str(n), "MessageId": "m", "MD5OfMessageBody": ""} for n in range(10)]
    scripted_aws.answer({"Successful": taken})
    scripted_aws.answer({"__type": "ServiceUnavailable"}, status=503)
    tasks = [f"abc/t{n}" for n in range(12)]
    ended = await in_thread(command, "submit", *tasks, "--queue-url", f"{scripted_aws.url}/123456789012/tasks")
    assert (ended.code, ended.out) == (75, "submitted 10 tasks to the queue tasks\n")
    assert [line.split(":")[0] for line in ended.err.splitlines()[:2]] == ["argument 11", "argument 12"]
