from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CONFIG, Command, in_thread, recorded
from tests.moto_server import plain_client
from tests.queries.recorded import CATALOG, RecordedTask, record
from tests.scripted_aws import ScriptedAws
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.cli.submission import numbered_messages
from watcher.core.intake.submissions import read
from watcher.model import Submission


class Inbox:
    """A queue of moto's server."""

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
        """What a watcher reads in the messages."""
        outcomes = [outcome for message in self.messages() for outcome in read(message["Body"].encode(), CATALOG, now=0.0)]
        assert all(isinstance(outcome, Submission) for outcome in outcomes)
        return [outcome for outcome in outcomes if isinstance(outcome, Submission)]


@pytest.fixture
def inbox(moto_url: str, here: Path) -> Inbox:
    """The queue that is the source of the configuration `q.yaml`."""
    made = Inbox(moto_url)
    (here / "q.yaml").write_text(f"sources: [{{type: sqs, queue_url: '{made.url}'}}]\nsinks: [{{type: jsonl}}]\n", encoding="utf-8")
    return made


def test_tasks_named_as_arguments_reach_the_queue(command: Command, inbox: Inbox) -> None:
    """Tasks go to the queue of the configuration, each with the context and the deadline of the options."""
    options = ("--config", "q.yaml", "--context", '{"call": "c-42"}', "--deadline", "2h")
    ended = command("submit", "abc/t1", "voice-tone/abc/t2", *options)
    assert (ended.code, ended.out, ended.err) == (0, "Submitted 2 tasks to the queue tasks.\n", "")
    read_back = {submission.ref.key: (submission.context, submission.deadline_s) for submission in inbox.submissions()}
    assert read_back == {"speaker-search/abc/t1": ('{"call":"c-42"}', 7200), "voice-tone/abc/t2": ('{"call":"c-42"}', 7200)}


def test_the_kind_applies_to_tasks_without_one(command: Command, inbox: Inbox) -> None:
    """--kind applies to tasks that are given by their identifiers; a key has its own kind."""
    command("submit", "abc/t1", "speaker-search/abc/t2", "--kind", "voice-tone", "--queue-url", inbox.url)
    assert {submission.ref.key for submission in inbox.submissions()} == {"voice-tone/abc/t1", "speaker-search/abc/t2"}


def test_lines_of_a_file_go_in_batches(command: Command, inbox: Inbox, here: Path) -> None:
    """Empty lines and comments are skipped, JSON is sent byte for byte, and more than ten messages go in several calls."""
    message = '{"SpeakerSearchTaskId": "t99",  "VoiceConnectorId": "abc"}'
    lines = [f"abc/t{n}" for n in range(25)] + ["", "# not this one", message, '[{"VoiceConnectorId":"abc","SpeakerSearchTaskId":"a"}]']
    (here / "tasks.txt").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    ended = command("submit", "--file", "tasks.txt", "--queue-url", inbox.url)
    assert ended.out == "Submitted 27 tasks to the queue tasks.\n"
    bodies = [got["Body"] for got in inbox.messages()]
    assert len(bodies) == 27
    assert message in bodies


def test_stdin_is_read_for_a_dash(command: Command, inbox: Inbox) -> None:
    """`-` reads stdin; a message that names several tasks counts as one message with several tasks."""
    two = b'[{"VoiceConnectorId":"abc","SpeakerSearchTaskId":"a"},{"VoiceConnectorId":"abc","SpeakerSearchTaskId":"b"}]'
    ended = command("submit", "-", "--queue-url", inbox.url, stdin=two)
    assert ended.out == "Submitted 2 tasks in 1 message to the queue tasks.\n"


BAD = b'abc/good\nabc\n{"VoiceConnectorId":"abc"}\n{bad\nabc/x?y\n\xff/t\n{"Type":"SubscriptionConfirmation"}\n'


def test_one_invalid_line_stops_everything(command: Command, inbox: Inbox) -> None:
    """With one invalid line, each invalid line is printed with its number and reason, nothing is sent, and the exit code is 64."""
    ended = command("submit", "-", "--config", "q.yaml", stdin=BAD)
    assert (ended.code, ended.out) == (64, "")
    *errors, last = ended.err.splitlines()
    assert [line.split(":")[:3] for line in errors] == [
        ["stdin", "2", " shape"],
        ["stdin", "3", " field"],
        ["stdin", "4", " parse"],
        ["stdin", "5", " id"],
        ["stdin", "6", " encoding"],
        ["stdin", "7", " shape"],
    ]
    assert last == "Nothing was sent. Use --skip-bad to send the valid lines."
    assert inbox.messages() == []


def test_skip_bad_sends_the_valid_lines(command: Command, inbox: Inbox) -> None:
    """With --skip-bad the valid lines are sent, and the invalid ones are printed on stderr."""
    ended = command("submit", "-", "--config", "q.yaml", "--skip-bad", stdin=BAD)
    assert (ended.code, ended.out) == (0, "Submitted 1 task to the queue tasks.\n")
    assert "stdin:2: shape" in ended.err
    assert [submission.ref.key for submission in inbox.submissions()] == ["speaker-search/abc/good"]


REPLY = {
    "SpeakerSearchTask": {
        "SpeakerSearchTaskId": "t-55",
        "SpeakerSearchTaskStatus": "IN_QUEUE",
        "CallDetails": {"VoiceConnectorId": "vc-5", "IsCaller": False},
        "CreatedTimestamp": "2026-11-26T10:15:30.250000+00:00",
    }
}


@pytest.mark.parametrize("way", ["file", "stdin", "argument"])
def test_indented_json_is_one_message(command: Command, inbox: Inbox, here: Path, way: str) -> None:
    """What the AWS CLI prints is submitted as it is, alone and between other messages."""
    text = json.dumps(REPLY, indent=4)
    (here / "replies.json").write_text(f"{text}\nabc/t1\n{text.replace('t-55', 't-56')}\n", encoding="utf-8")
    arguments = {"file": ("--file", "replies.json"), "stdin": ("-",), "argument": (text, "abc/t1", text.replace("t-55", "t-56"))}[way]
    ended = command("submit", *arguments, "--queue-url", inbox.url, stdin=(here / "replies.json").read_bytes())
    assert (ended.code, ended.out, ended.err) == (0, "Submitted 3 tasks to the queue tasks.\n", "")
    assert text in [message["Body"] for message in inbox.messages()]


def test_one_bad_value_over_many_lines_is_one_error(command: Command, inbox: Inbox) -> None:
    """It is named by its first line, and the values around it are valid."""
    text = json.dumps(REPLY, indent=1)
    ended = command("submit", "-", "--config", "q.yaml", "--skip-bad", stdin=f"{text}\n{text[:-6]}\n{text}\n".encode())
    assert (ended.code, ended.out) == (0, "Submitted 2 tasks to the queue tasks.\n")
    assert [line.split(": ")[:2] for line in ended.err.splitlines()] == [[f"stdin:{text.count(chr(10)) + 2}", "parse"]]


def test_a_multi_line_message_reaches_the_file_of_a_source(command: Command, here: Path) -> None:
    """The source reads the whole value back, also when it is submitted twice."""
    for _ in range(2):
        assert command("submit", json.dumps(REPLY, indent=2), "abc/t1", "--config", "w.yaml").code == 0
    found = [body for _, body in numbered_messages("x", (here / "tasks.txt").read_bytes())]
    assert [json.loads(body) for body in found][::2] == [REPLY, REPLY]
    assert len(found) == 4


def dry(command: Command, *arguments: str, stdin: bytes = b"") -> Any:
    return command("submit", *arguments, "--dry-run", stdin=stdin)


def test_a_dry_run_prints_what_would_be_sent(command: Command, inbox: Inbox, here: Path) -> None:
    """The messages on stdout, byte for byte, and what they name on stderr; nothing is sent, created, or asked of AWS."""
    ended = dry(command, "voice-tone/vc/t9", json.dumps(REPLY), "--queue-url", inbox.url)
    assert ended.code == 0
    sent = '{"kind":"voice-tone","voice_connector_id":"vc","voice_tone_analysis_task_id":"t9"}'
    assert ended.out == f"{sent}\n{json.dumps(REPLY)}\n"
    assert ended.err.splitlines() == [
        "argument 1: voice-tone/vc/t9",
        "argument 2: speaker-search/vc-5/t-55",
        f"Nothing was sent to {inbox.url}: this is a dry run.",
    ]
    assert inbox.messages() == []
    assert dry(command, "vc/t9", "--config", "w.yaml").code == 0
    assert (here / "tasks.txt").read_bytes() == b""
    assert not (here / "w.db").exists()


def test_a_task_whose_first_part_looks_like_a_kind_has_a_warning(command: Command, here: Path) -> None:
    """It is sent as a speaker search all the same. With --kind, and in a file or a JSON message, it may be any id."""
    warning = '"batch-jobb" is not a kind, so this is read as VoiceConnectorId/SpeakerSearchTaskId; did you mean batch-job?'
    ended = dry(command, "batch-jobb/t9")
    assert (ended.code, json.loads(ended.out)["kind"]) == (0, "speaker-search")
    assert warning in ended.err.splitlines()
    (here / "some.txt").write_text("batch-jobb/t9\n", encoding="utf-8")
    for others in (("batch-jobb/t9", "--kind", "voice-tone"), ("--file", "some.txt"), ('"batch-jobb/t9"',), ("vc/t9",)):
        ended = dry(command, *others)
        assert (ended.code, "is not a kind" in ended.err) == (0, False)


def test_a_dry_run_needs_no_target_and_no_aws(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a profile that exists; the context and the deadline are in the message, a status of the message is shown."""
    monkeypatch.setenv("AWS_PROFILE", "nope")
    ended = dry(command, "vc/t9", "--context", '{"a": [1]}', "--deadline", "90s")
    assert (ended.code, json.loads(ended.out)["context"], json.loads(ended.out)["deadline_s"]) == (0, {"a": [1]}, 90)
    assert ended.err.splitlines()[-1] == "Nothing was sent: this is a dry run."
    now = {"CreatedTimestamp": datetime.now(UTC).isoformat()}
    reply = {"SpeakerSearchTask": REPLY["SpeakerSearchTask"] | now}
    assert dry(command, json.dumps(reply)).err.startswith("argument 1: speaker-search/vc-5/t-55, IN_QUEUE by the message")


ARN = "arn:aws:batch:eu-central-1:111122223333:job/j-1"


def test_tasks_of_any_kind_are_named_by_kind_key_and_arn(command: Command, inbox: Inbox) -> None:
    """By an identifier and the kind of the options, by a key with its target, and by an ARN, which is sent as it is."""
    ended = dry(command, "call-7", "eu/transcription/call-8", "batch-job/j-2", ARN, "--kind", "transcription", "--context", "1")
    assert [json.loads(line) for line in ended.out.splitlines()] == [
        {"kind": "transcription", "transcription_job_name": "call-7", "context": 1},
        {"kind": "transcription", "target": "eu", "transcription_job_name": "call-8", "context": 1},
        {"kind": "batch-job", "job_id": "j-2", "context": 1},
        {"kind": "batch-job", "arn": ARN, "context": 1},
    ]


def test_the_targets_of_the_configuration_are_known(command: Command, inbox: Inbox, here: Path) -> None:
    """A task of another target, or of an account and Region without one, is not sent, because the watcher would reject it."""
    with (here / "q.yaml").open("a", encoding="utf-8") as file:
        file.write("targets: [{name: eu, region: eu-central-1, role_arn: 'arn:aws:iam::111122223333:role/watcher'}]\n")
    assert dry(command, ARN, "eu/transcription/call-8", "--config", "q.yaml").err.splitlines()[:2] == [
        "argument 1: eu/batch-job/j-1",
        "argument 2: eu/transcription/call-8",
    ]
    for task in ("us/transcription/call-8", ARN.replace("eu-central-1", "ap-south-1")):
        ended = dry(command, task, "--config", "q.yaml")
        assert (ended.code, ended.err.startswith("argument 1: scope")) == (64, True)


def test_watch_follows_tasks_of_the_configured_region_only(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no targets: an ARN of another Region, and a key with a target, are usage errors that say so."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    for task in (ARN, "eu/transcription/call-8"):
        ended = command("watch", task)
        assert (ended.code, "scope" in ended.err, "set AWS_REGION" in " ".join(ended.err.split())) == (64, True, True)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("us/transcription/call-8", "the target is not configured; use one of default, eu, eu-too"),
        (
            ARN.replace("eu-central-1", "ap-south-1"),
            "no target is in the Region of the task, ap-south-1; configured: default is in us-east-1",
        ),
        (ARN, "several targets are in the account and Region of the task: eu, eu-too"),
        (f"default/batch-job/{ARN}", "the task is not in the account and Region of the target default"),
    ],
)
def test_watch_names_the_targets_of_its_configuration(
    command: Command, here: Path, monkeypatch: pytest.MonkeyPatch, task: str, words: str
) -> None:
    """A target that is not configured, or that is not the only one, is a usage error that lists the targets and says how to name one."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    targets = "targets: [{name: eu, region: eu-central-1}, {name: eu-too, region: eu-central-1}]\n"
    (here / "w.yaml").write_text(CONFIG + targets, encoding="utf-8")
    ended = command("watch", task, "--config", "w.yaml")
    text = " ".join(ended.err.split())
    assert (ended.code, words in text, "TARGET/kind/identifiers" in text) == (64, True, True), text


def test_watch_warns_of_a_task_whose_first_part_looks_like_a_kind(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it looks for credentials and a Region."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    ended = command("watch", "batch-jobb/t1")
    assert (ended.code, ended.err.startswith('"batch-jobb" is not a kind, so this is read as')) == (78, True)


def test_a_key_of_a_target_that_is_not_configured_any_more_can_be_explained(command: Command, here: Path) -> None:
    """The store may have tasks of it. This one it does not have, which is another error than an invalid key."""
    recorded(RecordedTask("open").seen("IN_PROGRESS", 30))
    assert "is not in the store" in command("explain", "eu/transcription/call-8", "--config", "w.yaml").err
    assert "is not in the store" in command("explain", ARN, "--config", "w.yaml").err


@pytest.mark.parametrize(
    ("arguments", "code"), [(("vc/t?9",), 64), (("vc/t9", "--config", "nope.yaml"), 78), (("vc/t9", "--kind", "x"), 64)]
)
def test_a_dry_run_exits_as_the_submission_would(command: Command, arguments: tuple[str, ...], code: int) -> None:
    """For an invalid task and for a configuration that cannot be read."""
    assert dry(command, *arguments).code == code


def test_a_repeated_submission_says_that_the_task_is_known(command: Command, here: Path) -> None:
    """With --config: for each task in the store, whether it is watched or how it ended, and what to do; the exit code is 0."""
    over = RecordedTask("over").seen("IN_QUEUE", 50).seen("FAILED", 40)
    recorded(RecordedTask("open").seen("IN_PROGRESS", 30), over, RecordedTask("gone").ended("not_found", 20), RecordedTask("unseen"))
    ended = command("submit", "abc/open", "abc/over", "abc/gone", "abc/unseen", "abc/new", "--config", "w.yaml")
    assert ended.code == 0
    assert ended.out.startswith("Appended 5 tasks to tasks.txt.")
    lines = ended.err.splitlines()
    assert lines[0] == "speaker-search/abc/open: already watched (IN_PROGRESS); submitting it again changes nothing"
    assert lines[1].startswith("speaker-search/abc/over: ended ")
    assert lines[1].endswith(
        "ago (FAILED), and is not watched again; to start over: watcher forget speaker-search/abc/over --config w.yaml"
    )
    assert "ago (not_found), and" in lines[2]
    assert lines[3:] == ["speaker-search/abc/unseen: already watched (not seen yet); submitting it again changes nothing"]


async def test_a_task_that_is_admitted_at_once_is_new(command: Command, scripted_aws: ScriptedAws, here: Path) -> None:
    """A running watcher that admits the task before the command ends does not make it a task that was known before."""
    queue = f"{scripted_aws.url}/123456789012/tasks"
    config = CONFIG.replace("{type: lines, path: tasks.txt}", f"{{type: sqs, queue_url: '{queue}'}}")
    (here / "w.yaml").write_text(config, encoding="utf-8")
    store = SqliteStore(SqliteStoreSettings(path="w.db"))
    await store.open(["log"])
    try:
        await record(store, RecordedTask("old"))
        scripted_aws.before_answer = partial(record, store, RecordedTask("new"))
        scripted_aws.answer({"Successful": [{"Id": str(n), "MessageId": "m", "MD5OfMessageBody": ""} for n in range(2)]})
        ended = await in_thread(command, "submit", "abc/new", "abc/old", "--config", "w.yaml")
        assert await store.task("speaker-search/abc/new") is not None
    finally:
        await store.close()
    assert (ended.code, [line.split(":")[0] for line in ended.err.splitlines()]) == (0, ["speaker-search/abc/old"])


def notification(task: str) -> str:
    detail = {"voiceConnectorId": "abc", "taskId": task, "detailStatus": "IdentificationSuccessful"}
    return json.dumps({"detail-type": "SpeakerSearchStatus", "source": "aws.chime", "region": "us-east-1", "detail": detail})


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_notification_that_starts_no_watch_is_named(command: Command, inbox: Inbox, here: Path, options: tuple[str, ...]) -> None:
    """For a source without watch_notified, a notification counts as no task, and a line on stderr says so; with it, as a task."""
    ended = command("submit", notification("t1"), notification("t2"), "--config", "q.yaml", *options)
    assert ended.code == 0
    said = "a notification: it starts no watch with this configuration, because the source does not have watch_notified: true"
    assert f"argument 1: speaker-search/abc/t1: {said} (and for 1 other task)" in ended.err.splitlines()
    if not options:
        assert ended.out == "Submitted 0 tasks in 2 messages to the queue tasks.\n"
    text = (here / "q.yaml").read_text(encoding="utf-8").replace("type: sqs", "type: sqs, watch_notified: true")
    (here / "q.yaml").write_text(text, encoding="utf-8")
    ended = command("submit", notification("t1"), "--config", "q.yaml", *options)
    assert "notification" not in ended.err
    if not options:
        assert ended.out == "Submitted 1 task to the queue tasks.\n"


def test_a_notification_to_a_queue_of_any_source_says_what_it_needs(command: Command, inbox: Inbox) -> None:
    """Without a configuration it is unknown whether the source starts watches from notifications: the line says on what it depends."""
    ended = command("submit", notification("t1"), "--queue-url", inbox.url)
    assert ended.out == "Submitted 1 task to the queue tasks.\n"
    assert "starts a watch only if the source has watch_notified: true" in ended.err


def test_a_deadline_that_is_too_long_is_named(command: Command, inbox: Inbox) -> None:
    """A deadline of more than 30 days is reduced, by --deadline and in a message, and one line on stderr says so."""
    ended = command("submit", "abc/t1", "abc/t2", "--deadline", "31d", "--config", "q.yaml")
    assert (ended.code, ended.err) == (
        0,
        "argument 1: speaker-search/abc/t1: the deadline is reduced to 30 d, which is the longest one (and for 1 other task)\n",
    )
    message = json.dumps({"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "t3", "deadline_s": 31 * 86_400})
    assert "reduced to 30 d" in dry(command, message).err
    assert command("submit", "abc/t4", "--deadline", "30d", "--config", "q.yaml").err == ""


def test_a_store_that_cannot_be_read_stops_no_submission(command: Command, here: Path) -> None:
    """The tasks are sent; nothing is said about them."""
    (here / "w.db").write_bytes(b"no database" * 100)
    ended = command("submit", "abc/t1", "--config", "w.yaml")
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("abc/t1",), "--queue-url"),
        ((), "give tasks"),
        (("abc/t1", "--kind", "nope"), "unknown kind; `watcher kinds list` shows all"),
        (("abc/t1", "--context", "{a"), "not valid JSON"),
        (("abc/t1", "--deadline", "2weeks"), "expected a duration"),
        (("abc/t1", "--deadline", "0"), "expected a time in the future"),
        (("abc/t1", "--source", "nope"), "sqs"),
        (
            ('{"VoiceConnectorId":"a","SpeakerSearchTaskId":"b"}', "--deadline", "2h"),
            "argument 1: field: --context and --deadline do not apply",
        ),
        (("-",), "no tasks"),
        (("abc/t1", "--context", '"' + "x" * 5000 + '"'), "larger than 4096 bytes"),
    ],
)
def test_a_usage_error_sends_nothing(command: Command, inbox: Inbox, arguments: tuple[str, ...], words: str) -> None:
    """A mistake in the arguments exits with 64 and says what to do, and nothing is sent."""
    target = () if arguments == ("abc/t1",) else ("--config", "q.yaml")
    ended = command("submit", *arguments, *target)
    assert (ended.code, ended.out) == (64, "")
    assert words in " ".join(ended.err.split())
    assert inbox.messages() == []


def test_an_arn_is_answered_with_its_url(command: Command) -> None:
    """For the ARN of a queue, the command exits with 64 and prints the URL of that queue."""
    ended = command("submit", "abc/t1", "--queue-url", "arn:aws:sqs:us-east-1:123456789012:tasks")
    assert ended.code == 64
    assert "https://sqs.us-east-1.amazonaws.com/123456789012/tasks" in ended.err


def test_a_missing_queue_exits_with_69(command: Command, inbox: Inbox) -> None:
    """For a queue that does not exist, the command exits with 69 and a hint."""
    ended = command("submit", "abc/t1", "--queue-url", f"{inbox.url}x")
    assert (ended.code, ended.out) == (69, "")
    assert ended.err.startswith("Nothing was sent: AWS.SimpleQueueService.NonExistentQueue")
    assert "its account, and AWS_REGION" in ended.err


@pytest.mark.parametrize(
    ("gone", "hint"),
    [
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "no credentials were found"),
        (("AWS_REGION", "AWS_DEFAULT_REGION"), "set the Region"),
    ],
)
def test_missing_credentials_and_region_exit_with_78(
    command: Command, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, gone: tuple[str, ...], hint: str
) -> None:
    """Without credentials or a Region, the command exits with 78, and the hint says what to set."""
    for name in gone:
        monkeypatch.delenv(name)
    ended = command("submit", "abc/t1", "--queue-url", inbox.url)
    assert (ended.code, ended.out) == (78, "")
    assert hint in ended.err


def test_an_unknown_profile_exits_with_78(command: Command, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """For an unknown profile, the command exits with 78 and one line that names AWS_PROFILE."""
    monkeypatch.setenv("AWS_PROFILE", "nope")
    ended = command("submit", "abc/t1", "--queue-url", inbox.url)
    assert ended.code == 78
    assert ended.err.startswith("Nothing was sent: ProfileNotFound; the AWS configuration cannot be used: check AWS_PROFILE")
    assert len(ended.err.splitlines()) == 1


def test_a_fifo_queue_groups_by_task(command: Command, moto_url: str) -> None:
    """In a FIFO queue, the key of the task is the message group, and the same message twice is one message."""
    inbox = Inbox(moto_url, "tasks.fifo", FifoQueue="true")
    for _ in range(2):
        assert command("submit", "abc/t1", "--queue-url", inbox.url).code == 0
    [message] = inbox.messages()
    assert message["Attributes"]["MessageGroupId"] == "speaker-search/abc/t1"


def test_several_queues_need_a_name(command: Command, inbox: Inbox, here: Path) -> None:
    """With several queues, --source selects one; without it, the error lists their names."""
    one, two = (f"{{type: sqs, name: {name}, queue_url: '{inbox.url}{end}'}}" for name, end in (("one", ""), ("two", "2")))
    text = f"sources: [{one}, {two}]\nsinks: [{{type: jsonl}}]\n"
    (here / "q.yaml").write_text(text, encoding="utf-8")
    refused = command("submit", "abc/t1", "--config", "q.yaml")
    assert refused.code == 64
    assert "one, two" in refused.err
    assert command("submit", "abc/t1", "--config", "q.yaml", "--source", "one").code == 0
    assert len(inbox.messages()) == 1


def test_tasks_are_appended_to_the_file_of_a_source(command: Command, here: Path) -> None:
    """Tasks are appended one per line, also after a last line without a line end."""
    (here / "tasks.txt").write_text("abc/t0", encoding="utf-8")
    ended = command("submit", "abc/t1", "abc/t2", "--config", "w.yaml")
    assert ended.code == 0
    assert ended.out.startswith("Appended 2 tasks to tasks.txt.")
    lines = (here / "tasks.txt").read_bytes().splitlines()
    keys = [outcome.ref.key for line in lines for outcome in read(line, CATALOG, now=0.0, plain=True) if isinstance(outcome, Submission)]
    assert keys == [f"speaker-search/abc/t{n}" for n in range(3)]


def test_stdin_and_named_pipes_take_no_submissions(command: Command, here: Path) -> None:
    """For a source that is stdin or a named pipe, the command exits with 64 and says what to do instead; it does not block."""
    (here / "s.yaml").write_text("sources: [{type: lines}]\nsinks: [{type: jsonl}]\n", encoding="utf-8")
    ended = command("submit", "abc/t1", "--config", "s.yaml")
    assert (ended.code, ended.err) == (64, "This configuration reads stdin: pipe the tasks into: watcher run --config s.yaml\n")
    (here / "tasks.txt").unlink()
    os.mkfifo(here / "tasks.txt")
    ended = command("submit", "abc/t1", "--config", "w.yaml")
    assert ended.code == 64
    assert "write one task per line to tasks.txt" in ended.err


def test_a_message_for_another_region_is_invalid(command: Command, inbox: Inbox) -> None:
    """A message that names another Region than the configured one is not sent, because the watcher would reject it."""
    message = json.dumps({"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "t1", "region": "eu-west-1"})
    assert command("submit", message, "--config", "q.yaml").err.startswith("argument 1: scope")
    assert command("submit", message.replace("eu-west-1", "us-east-1"), "--config", "q.yaml").code == 0


@pytest.mark.parametrize(
    ("failure", "code"),
    [({"Code": "InternalError", "SenderFault": False}, 75), ({"Code": "InvalidMessageContents", "SenderFault": True}, 69)],
)
async def test_messages_that_were_not_sent_are_listed(
    command: Command, scripted_aws: ScriptedAws, failure: dict[str, Any], code: int
) -> None:
    """Each message that was not sent is printed with its error; the exit code is 75 if a retry can help, otherwise 69."""
    scripted_aws.answer({"Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": ""}], "Failed": [{"Id": "1", **failure}]})
    ended = await in_thread(command, "submit", "abc/t1", "abc/t2", "--queue-url", f"{scripted_aws.url}/123456789012/tasks")
    assert (ended.code, ended.out) == (code, "Submitted 1 task to the queue tasks.\n")
    assert ended.err.startswith(f"argument 2: not sent: {failure['Code']}")


async def test_a_batch_that_fails_after_another_one_is_listed(command: Command, scripted_aws: ScriptedAws) -> None:
    """When the second of two calls fails, the messages of the second are listed, and the exit code is 75."""
    sent = [{"Id": str(n), "MessageId": "m", "MD5OfMessageBody": ""} for n in range(10)]
    scripted_aws.answer({"Successful": sent})
    scripted_aws.answer({"__type": "ServiceUnavailable"}, status=503)
    tasks = [f"abc/t{n}" for n in range(12)]
    ended = await in_thread(command, "submit", *tasks, "--queue-url", f"{scripted_aws.url}/123456789012/tasks")
    assert (ended.code, ended.out) == (75, "Submitted 10 tasks to the queue tasks.\n")
    assert [line.split(":")[0] for line in ended.err.splitlines()[:2]] == ["argument 11", "argument 12"]


@pytest.mark.parametrize("name", ["files.txt", "./files.txt"])
def test_a_file_of_tasks_is_not_a_task(command: Command, here: Path, name: str) -> None:
    """A file among the tasks is an error that names --file, and the help tells it from the configuration FILE."""
    (here / "files.txt").write_text("abc/t1\n", encoding="utf-8")
    ended = command("submit", name, "--config", "w.yaml")
    assert ended.code == 64
    assert f"--file {name}" in ended.err
    assert (here / "tasks.txt").read_text() == ""
    shown = " ".join(command("submit", "--help").out.split())
    assert "FILE is not a file of tasks: for one, use --file" in shown


def test_a_long_message_is_not_looked_up_as_a_file(command: Command) -> None:
    """An argument that is too long for the name of a file is read as a message."""
    message = json.dumps({"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "t1", "context": "x" * 3000})
    assert command("submit", message, "--config", "w.yaml").code == 0


def test_a_dry_run_names_no_target_where_there_is_none(command: Command, here: Path) -> None:
    """With a source that reads stdin there is nothing that tasks could be sent to, and a dry run names none."""
    (here / "w.yaml").write_text((here / "w.yaml").read_text().replace("tasks.txt", "'-'"))
    ended = command("submit", "abc/t1", "--dry-run", "--config", "w.yaml")
    assert ended.code == 0
    assert "Nothing was sent: this is a dry run." in ended.err
