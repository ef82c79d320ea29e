"""What an input message requests, and each reason why one names no task."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.intake.aws_events import API_CALL
from watcher.core.intake.envelopes import MAX_LAYERS
from watcher.core.intake.example_ids import example_ids
from watcher.core.intake.strict_json import MAX_BODY, MAX_DEPTH
from watcher.core.intake.submissions import FORBIDDEN_MEMBERS, MAX_BATCH, REASONS, good_message, parse_ref, read, steering_members
from watcher.errors import InvalidInput
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Ignored, Observation, Scope, Submission, TaskRef

NOW = 1_790_000_000.0
CATALOG = builtin_catalog()
VOICE = [kind for kind in CATALOG if kind.service == CATALOG.default.service]
REGION = "us-east-1"
SCOPES = {"default": Scope(REGION)}
VC = "abcdef1ghij2klmno3pqr4"
TASK = "2f6f7d1e-6b0c-4a58-9d3e-0d6a5c1b7a11"
REF = TaskRef("speaker-search", (VC, TASK))
OWN = {"voice_connector_id": VC, "speaker_search_task_id": TASK}
MESSAGES = Path(__file__).parent.parent / "data" / "messages"
ACCEPTED = sorted((MESSAGES / "accepted").iterdir())
REJECTED = sorted((MESSAGES / "rejected").iterdir())
IGNORED = sorted((MESSAGES / "ignored").iterdir())


def outcomes(message, **options):
    return read(json.dumps(message).encode(), CATALOG, **{"now": NOW, "scopes": SCOPES, **options})


def notification(detail_type="SpeakerSearchStatus", **detail):
    return {"detail-type": detail_type, "source": "aws.chime", "service-type": "VoiceAnalytics", "region": REGION, "detail": detail}


def reasons(found):
    return [outcome.reason if isinstance(outcome, InvalidInput) else "" for outcome in found]


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_each_form_names_the_same_task(path):
    """Every accepted form, bare or in envelopes, requests the one task that it names."""
    (outcome,) = read(path.read_bytes(), CATALOG, now=NOW, scopes=SCOPES)
    assert isinstance(outcome, Submission)
    assert outcome.ref == REF
    assert not outcome.poll_now


@pytest.mark.parametrize("path", REJECTED, ids=lambda path: path.stem)
def test_each_invalid_message_has_its_reason(path):
    """One outcome for each, with the reason that the file's name begins with."""
    assert reasons(read(path.read_bytes(), CATALOG, now=NOW, scopes=SCOPES)) == [path.name.split(".")[0]]


@pytest.mark.parametrize("path", IGNORED, ids=lambda path: path.stem)
def test_a_message_that_requires_no_action_is_known_by_name(path):
    """What the service announces or CloudTrail records beside the start of a task has a name, and is neither a task nor invalid."""
    (outcome,) = read(path.read_bytes(), CATALOG, now=NOW, scopes=SCOPES)
    assert isinstance(outcome, Ignored)
    assert outcome.name.isprintable()


def test_every_reason_has_an_example():
    """Each promised reason can occur."""
    assert {path.name.split(".")[0] for path in REJECTED} == REASONS


def test_size_is_counted_in_bytes():
    """A body of exactly the limit is read; one byte more is rejected before it is parsed."""
    fill = MAX_BODY - len(json.dumps(OWN))
    assert reasons(read(json.dumps(OWN).encode() + b" " * fill, CATALOG, now=NOW)) == [""]
    assert reasons(read(json.dumps(OWN).encode() + b" " * (fill + 1), CATALOG, now=NOW)) == ["size"]


def test_the_greatest_depth_is_accepted_and_one_more_is_not():
    """Brackets inside strings do not count."""
    nested = json.loads("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))
    assert reasons(outcomes({**OWN, "context": nested})) == [""]
    assert reasons(outcomes({**OWN, "context": [nested]})) == ["depth"]
    assert reasons(outcomes({**OWN, "context": '["' * 500 + "\\"})) == [""]


@pytest.mark.parametrize("text", ['"' + '\\"' * 130_000, "[" * 250_000, '{"":' * 60_000, '"a' * 130_000, "\\" * 260_000])
def test_texts_made_to_be_slow_are_rejected_in_linear_time(text):
    """Unclosed quotes and brackets up to the size limit have a reason; a quadratic scan would take hours here."""
    assert reasons(read(text.encode(), CATALOG, now=NOW)) in (["parse"], ["depth"])


def test_envelopes_are_unwrapped_up_to_the_limit():
    """Also through base64; one more is rejected."""
    message = OWN
    for _ in range(MAX_LAYERS):
        message = {"specversion": "1.0", "data_base64": base64.b64encode(json.dumps(message).encode()).decode()}
    assert reasons(outcomes(message)) == [""]
    assert reasons(outcomes({"Type": "Notification", "Message": json.dumps(message)})) == ["depth"]


def test_an_invalid_element_does_not_affect_the_others():
    """A batch has one outcome for each element, in order, and the text says which element it was."""
    found = outcomes([OWN, {**OWN, "speaker_search_task_id": ".."}, 7, {**OWN, "speaker_search_task_id": "other"}])
    assert reasons(found) == ["", "id", "shape", ""]
    assert found[1].detail.startswith("element 2: ")
    assert found[3].ref.params == (VC, "other")


def test_a_batch_may_consist_of_envelopes():
    """A list of envelopes is unwrapped element by element."""
    wrapped = {"Type": "Notification", "Message": json.dumps([OWN, {}])}
    found = outcomes([wrapped, OWN])
    assert reasons(found) == ["", "field", ""]
    assert found[1].detail.startswith("element 1: element 2: ")


def test_a_list_beyond_the_limit_is_one_dead_letter():
    """A message cannot turn into a hundred thousand outcomes."""
    assert len(outcomes([1] * MAX_BATCH)) == MAX_BATCH
    assert reasons(outcomes([1] * (MAX_BATCH + 1))) == ["size"]


@pytest.mark.parametrize("kind", CATALOG, ids=lambda kind: kind.name)
def test_every_kind_is_recognized_by_its_own_spellings(kind):
    """Its fields, the API's names, and a whole reply, with nothing but the declaration of the kind. Voice kinds need no `kind`."""
    ids = example_ids(kind)
    ref = TaskRef(kind.name, ids)
    named = {} if kind in VOICE else {"kind": kind.name}
    *outer, last = [(param.name, value) for param, value in zip(kind.params, ids, strict=True)]
    messages = [{param.field: value for param, value in zip(kind.params, ids, strict=True)}, {**dict(outer), last[0]: last[1]}]
    if kind.reply.member is not None:
        messages.append({kind.reply.member: {last[0]: last[1], "CallDetails": dict(outer)}})
    for message in messages:
        assert outcomes({**named, **message}) == outcomes({"kind": kind.name, **message}) == [Submission(ref)]


def test_a_reply_may_have_our_own_names_inside():
    """In any mixture with those of the API, also beside the task."""
    task = {"speaker_search_task_id": TASK, "callDetails": {"voice_connector_id": VC}}
    for message in (
        {"SpeakerSearchTask": task},
        {"speakerSearchTask": task},
        {"SpeakerSearchTask": {"speaker_search_task_id": TASK}, "voice_connector_id": VC},
    ):
        assert outcomes(message) == [Submission(REF)]


def test_two_replies_in_one_message_are_two_tasks():
    """Each task has its own outcome, also when one of them is invalid."""
    call = {"CallDetails": {"VoiceConnectorId": VC}}
    search = {"SpeakerSearchTask": {"SpeakerSearchTaskId": "a", **call}}
    assert reasons(outcomes({**search, "VoiceToneAnalysisTask": {"VoiceToneAnalysisTaskId": "b", **call}})) == ["", ""]
    assert reasons(outcomes({**search, "VoiceToneAnalysisTask": None})) == ["", "shape"]


@pytest.mark.parametrize(
    ("context", "text"),
    [
        ({"b": 1, "a": "ü"}, '{"a":"ü","b":1}'),
        ("c-42", '"c-42"'),
        (0, "0"),
        (False, "false"),
        ([], "[]"),
        (None, None),
        ("x" * 4094, f'"{"x" * 4094}"'),
    ],
)
def test_context_is_kept_as_canonical_json(context, text):
    """Any JSON up to 4 KiB keeps its value and has one spelling; null is no context."""
    (outcome,) = outcomes({**OWN, "context": context})
    assert outcome.context == text


@pytest.mark.parametrize(
    ("members", "seconds"),
    [
        ({}, None),
        ({"deadline_s": None}, None),
        ({"deadline_s": 0.5}, 0.5),
        ({"deadline_s": 3600}, 3600.0),
        ({"deadline_s": 10 * 365 * 86_400}, 30 * 86_400.0),
        ({"deadline_at": NOW + 60}, 60.0),
        ({"deadline_at": NOW + 1e9}, 30 * 86_400.0),
    ],
)
def test_a_deadline_is_reduced_to_thirty_days(members, seconds):
    """Relative or absolute, in seconds."""
    (outcome,) = outcomes({**OWN, **members})
    assert outcome.deadline_s == seconds
    assert outcome.deadline_reduced == (seconds == 30 * 86_400.0)


def test_a_deadline_of_now_has_passed():
    """A deadline that leaves no time is rejected."""
    assert reasons(outcomes({**OWN, "deadline_at": NOW})) == ["field"]


@pytest.mark.parametrize(
    "members", [{"region": REGION}, {"target": "default"}, {"version": 1}, {"schema_version": "1.0"}, {"region": None}]
)
def test_a_message_may_repeat_what_is_configured(members):
    """The configured Region, the default target and the present version change nothing."""
    assert outcomes({**OWN, **members}) == [Submission(REF)]


def test_a_region_is_out_of_scope_where_none_is_configured():
    """A message cannot choose the Region that the configuration left open."""
    assert reasons(outcomes({**OWN, "region": REGION}, scopes={"default": Scope()})) == ["scope"]


def test_steering_members_are_ignored_and_counted():
    """The task is accepted as if they were not there, and each is counted, in any spelling and envelope."""
    steering = {"endpoint_url": "http://evil.test", "RoleArn": "arn:x", "sink": {"type": "webhook"}}
    wrapped = {"Type": "Notification", "TopicArn": "arn:of-the-envelope", "Message": json.dumps([{**OWN, **steering}, OWN])}
    assert outcomes(wrapped) == [Submission(REF), Submission(REF)]
    found = steering_members(json.dumps(wrapped).encode(), CATALOG)
    assert sorted(found) == ["endpoint_url", "role_arn", "sink"]
    assert FORBIDDEN_MEMBERS.issuperset(found)
    assert steering_members(b"{not json", CATALOG) == ()
    assert steering_members(json.dumps({**OWN, "context": steering}).encode(), CATALOG) == []


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_sns_confirmations_require_no_action(kind):
    """They have no outcome and are acknowledged; the URL is not read."""
    found = outcomes({"Type": kind, "SubscribeURL": "http://evil.test/", "Token": "t", "Message": "You have chosen..."})
    assert found == [Ignored(f"SNS {kind}")]


@pytest.mark.parametrize("member", ["taskId", "speakerSearchTaskId", "SpeakerSearchTaskId"])
def test_a_notification_of_aws_requests_a_poll_now(member):
    """Where it is about a kind of the catalog, bare or through SNS."""
    message = notification(voiceConnectorId=VC, detailStatus="IdentificationSuccessful", **{member: TASK})
    assert outcomes(message) == [Submission(REF, poll_now=True)]
    assert outcomes({"Type": "Notification", "Message": json.dumps(message)}) == [Submission(REF, poll_now=True)]


@pytest.mark.parametrize(
    "message",
    [
        notification(taskId=TASK, mediaInsightsPipelineId="87654321-33ca-4dc6-9cdf-abcde6612345"),
        notification(voiceConnectorId=VC, detailStatus="VoiceprintGenerationSuccessful"),
        notification("VoiceAnalyticsStatus", voiceConnectorId=VC, detailStatus="PostCallVoiceAnalytics", callId="c"),
    ],
)
def test_other_notifications_of_aws_require_no_action(message):
    """AWS sends more to a notification target than can be polled: that is no invalid input."""
    (outcome,) = outcomes(message)
    assert isinstance(outcome, Ignored)


def test_a_source_may_read_all_that_is_not_json_as_a_reference():
    """From any other source, only a text that looks like one is a reference: the reason for other texts says that they are not JSON."""
    body = f"{VC}/{TASK}\r\n".encode()
    assert read(body, CATALOG, now=NOW, plain=True) == read(body, CATALOG, now=NOW) == [Submission(REF)]
    for text, plain, other in (("abc", "shape", "parse"), ("a b/c", "id", "parse"), ("a/b c", "id", "parse"), ("<a>/b", "id", "parse")):
        assert reasons(read(text.encode(), CATALOG, now=NOW, plain=True)) == [plain], text
        assert reasons(read(text.encode(), CATALOG, now=NOW)) == [other], text
    assert read(b"\xef\xbb\xbf \t" + json.dumps(OWN).encode(), CATALOG, now=NOW, plain=True) == [Submission(REF)]
    assert reasons(read(b"\xef\xbb\xbf \n", CATALOG, now=NOW, plain=True)) == ["empty"]
    assert reasons(read(b"null", CATALOG, now=NOW, plain=True)) == ["shape"]


def test_an_invalid_reference_from_a_queue_has_the_reasons_of_references():
    """Words with slashes between them are a reference, not JSON."""
    for text, reason in (("vc/", "field"), ("vc/%2e%2e", "id"), ("a/b/c/d", "shape"), ("nokind/vc/t", "kind"), ('"vc/t?x"', "id")):
        assert reasons(read(text.encode(), CATALOG, now=NOW)) == [reason], text


def recorded(kind, task=None, **record):
    """A CloudTrail record of the call that starts a task of this kind, in its EventBridge event."""
    ids = example_ids(kind)
    names = [param.name[:1].lower() + param.name[1:] for param in kind.params]
    reply = {names[-1]: ids[-1], "callDetails": dict(zip(names[:-1], ids[:-1], strict=True)), **(task or {})}
    detail = {
        "eventName": kind.start.event_name,
        "awsRegion": REGION,
        "requestParameters": {names[0]: ids[0], "clientRequestToken": "c"},
        "responseElements": {kind.reply.member[:1].lower() + kind.reply.member[1:]: reply},
    }
    return TaskRef(kind.name, ids), {"detail-type": API_CALL, "source": kind.start.source, "detail": {**detail, **record}}


@pytest.mark.parametrize("kind", [kind for kind in CATALOG if kind.start and kind.reply.member], ids=lambda kind: kind.name)
def test_the_record_of_the_start_call_of_a_kind_is_a_submission(kind):
    """By the name of the call in the kind, with nothing else in the code; the call that failed started nothing."""
    ref, event = recorded(kind)
    assert outcomes(event) == [Submission(ref)]
    assert outcomes([event, json.loads(json.dumps(event))]) == [Submission(ref)] * 2
    ref, failed = recorded(kind, errorCode="ForbiddenException", responseElements=None)
    assert outcomes(failed) == [Ignored(f"CloudTrail record of a failed {kind.start.event_name}")]


def test_a_record_of_another_region_is_out_of_scope():
    """The task is not in the configured Region, so it could not be found; where no Region is configured, none is wrong."""
    ref, event = recorded(CATALOG["voice-tone"], awsRegion="ap-southeast-2")
    assert reasons(outcomes(event)) == ["scope"]
    assert outcomes(event, scopes={"default": Scope()}) == [Submission(ref)]


def test_records_of_other_calls_are_ignored_only_from_the_service_of_a_kind():
    """A rule that matches every call of the service fills no dead letters; records of another service may be of a kind of the future."""
    _, event = recorded(CATALOG.default)
    for name in ("ListVoiceConnectors", "StopVoiceToneAnalysisTask", "GetMediaCapturePipeline", "UpdateVoiceConnector"):
        assert outcomes({**event, "detail": {**event["detail"], "eventName": name}}) == [Ignored(f"CloudTrail record of {name}")]
    for source, name in (
        ("aws.connect", "StartTask"),
        ("aws.chime", None),
        ("aws.chime", "\n"),
        (["aws.chime"], "X"),
        ("aws.chime", ["X"]),
    ):
        assert reasons(outcomes({**event, "source": source, "detail": {**event["detail"], "eventName": name}})) == ["shape"]


@pytest.mark.parametrize("type_", ["SpeakerSearchProgress", "AWS Service Event via CloudTrail", "", None, ["SpeakerSearchStatus"]])
def test_an_event_of_aws_of_an_unknown_type_is_invalid(type_):
    """Only known names are ignored, whatever the detail contains."""
    assert reasons(outcomes({"detail-type": type_, "source": "aws.chime", "detail": OWN})) == ["shape"]


def test_a_notification_is_a_submission_where_the_source_says_so():
    """Of the configured Region; it still requests a poll now."""
    message = notification(voiceConnectorId=VC, taskId=TASK)
    assert outcomes(message, watch_notified=True) == [Submission(REF, poll_now=True)]
    elsewhere = {**message, "region": "eu-north-1"}
    assert reasons(outcomes(elsewhere, watch_notified=True)) == ["scope"]
    assert outcomes(elsewhere) == [Submission(REF, poll_now=True)]


def stamp(seconds):
    return datetime.fromtimestamp(NOW + seconds, UTC).isoformat()


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"SpeakerSearchTaskStatus": "IN_QUEUE", "CreatedTimestamp": stamp(-3)}, ("IN_QUEUE", -3, None, None)),
        ({"SpeakerSearchTaskStatus": "IN_QUEUE", "CreatedTimestamp": NOW - 2.5, "UpdatedTimestamp": NOW}, ("IN_QUEUE", -2.5, None, 0)),
        (
            {
                "SpeakerSearchTaskStatus": "IN_PROGRESS",
                "CreatedTimestamp": stamp(-9),
                "StartedTimestamp": stamp(-4),
                "UpdatedTimestamp": stamp(-4),
            },
            ("IN_PROGRESS", -9, -4, -4),
        ),
        ({"SpeakerSearchTaskStatus": "IN_QUEUE", "UpdatedTimestamp": stamp(40)}, ("IN_QUEUE", None, None, 40)),
        ({"SpeakerSearchTaskStatus": "IN_QUEUE"}, None),
        ({"SpeakerSearchTaskStatus": "SUCCEEDED", "CreatedTimestamp": stamp(-3)}, None),
        ({"SpeakerSearchTaskStatus": "PARTIAL_SUCCESS", "CreatedTimestamp": stamp(-3)}, None),
        ({"SpeakerSearchTaskStatus": "REJOICING", "CreatedTimestamp": stamp(-3)}, None),
        ({"SpeakerSearchTaskStatus": ["IN_QUEUE"], "CreatedTimestamp": stamp(-3)}, None),
        ({"CreatedTimestamp": stamp(-3)}, None),
        ({"SpeakerSearchTaskStatus": "IN_QUEUE", "CreatedTimestamp": stamp(3600)}, None),
        ({"SpeakerSearchTaskStatus": "IN_QUEUE", "CreatedTimestamp": stamp(-86_400)}, None),
        ({"SpeakerSearchTaskStatus": "IN_QUEUE", "CreatedTimestamp": (NOW - 3) * 1000}, None),
        ({"SpeakerSearchTaskStatus": "IN_QUEUE", "CreatedTimestamp": "yesterday"}, None),
        ({"SpeakerSearchTaskStatus": "IN_QUEUE", "CreatedTimestamp": "2026-09-21T14:13:17"}, None),
        ({"SpeakerSearchTaskStatus": "IN_QUEUE", "CreatedTimestamp": "0001-01-01T00:00:00+14:00"}, None),
        ({"SpeakerSearchTaskStatus": "IN_QUEUE", "CreatedTimestamp": True}, None),
        ({"SpeakerSearchTaskStatus": "IN_QUEUE", "CreatedTimestamp": stamp(-3), "UpdatedTimestamp": {}}, None),
        ({"SpeakerSearchTaskStatus": "IN_PROGRESS", "CreatedTimestamp": stamp(-3), "StartedTimestamp": stamp(-30)}, None),
    ],
)
def test_an_open_status_with_sensible_times_is_an_observation(members, expected):
    """In every form of a reply. What ends a task, is unknown, or has times that make no sense is none: the task is looked at at once."""
    task = {"SpeakerSearchTaskId": TASK, "CallDetails": {"VoiceConnectorId": VC}, **members}
    lower = {name[:1].lower() + name[1:]: value for name, value in task.items() if name != "CallDetails"}
    lower |= {"callDetails": {"voiceConnectorId": VC}}
    _, event = recorded(CATALOG.default, requestParameters={}, responseElements={"speakerSearchTask": lower})
    seen = None
    if expected is not None:
        status, *ages = expected
        created, started, updated = (None if age is None else NOW + age for age in ages)
        seen = Observation(status, NOW, created_at=created, started_at=started, updated_at=updated)
    for message in ({"SpeakerSearchTask": task}, task, {"speakerSearchTask": lower}, lower, event):
        assert outcomes(message) == [Submission(REF, observation=seen, look_now=seen is None and "SpeakerSearchTaskStatus" in members)]


def test_a_status_beside_our_own_members_is_no_observation():
    """Only what has the form of a reply is one."""
    own = {**OWN, "status": "IN_QUEUE", "created": NOW, "speaker_search_task_status": "IN_QUEUE"}
    assert outcomes(own) == [Submission(REF)]


@pytest.mark.parametrize(
    "path", [path for path in REJECTED if path.name.split(".")[0] in ("shape", "field", "parse", "empty")], ids=lambda p: p.stem
)
def test_a_reason_about_the_form_shows_a_good_message(path):
    """The text ends with a message that is accepted as it is."""
    (outcome,) = read(path.read_bytes(), CATALOG, now=NOW, scopes=SCOPES)
    good = outcome.detail.split("; a good message: ")[1]
    assert isinstance(read(good.encode(), CATALOG, now=NOW)[0], Submission)


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({"Type": "Notification", "Message": "{}"}, "(in an SNS notification)"),
        ({"Type": "Notification", "Message": "{nope"}, "(in an SNS notification)"),
        (
            {"detail-type": "t", "source": "my.app", "detail": {"specversion": "1.0", "data": {}}},
            "(in a CloudEvent in an EventBridge event)",
        ),
        ({"Records": [{"eventSource": "aws:sqs", "body": "[[]]"}]}, "(in an SQS record in a Records event)"),
        ({"input": {"call": 7}}, "(in a Step Functions input)"),
        (notification(voiceConnectorId=VC, taskId="a b"), "(in a notification of AWS)"),
        (recorded(CATALOG.default, awsRegion="eu-west-3")[1], "(in a CloudTrail record)"),
    ],
)
def test_a_reason_names_the_envelopes_that_were_recognized(message, named):
    """So that a person sees which part of the message is meant."""
    (outcome,) = outcomes(message)
    assert named in outcome.detail


@pytest.mark.parametrize("kind", CATALOG, ids=lambda kind: kind.name)
def test_the_good_message_of_each_kind_is_accepted(kind):
    """It names the kind and each identifier."""
    (outcome,) = read(good_message(kind).encode(), CATALOG, now=NOW)
    assert outcome.ref.kind == kind.name


def test_members_beside_an_input_belong_to_its_task():
    """A context and a deadline may stand beside the input of a state; members of the task itself win."""
    beside = {"context": "outer", "deadline_s": 60}
    assert outcomes({"input": OWN, **beside}) == [Submission(REF, '"outer"', 60.0)]
    assert outcomes({"input": {**OWN, "context": "inner"}, **beside}) == [Submission(REF, '"inner"', 60.0)]
    assert outcomes({**OWN, "input": {"voice_connector_id": "other"}}) == [Submission(REF)], "an unknown member of a message stays unknown"


@pytest.mark.parametrize(
    "text", [f"{VC}/{TASK}", f"speaker-search/{VC}/{TASK}", f"default/speaker-search/{VC}/{TASK}", f" {VC}/{TASK.replace('-', '%2D')}\n"]
)
def test_references_are_read_as_keys_are_written(text):
    """A pair of ids, a key, and a key with the default target all name the same task."""
    assert parse_ref(text, CATALOG) == REF


@given(
    st.sampled_from(["speaker-search", "voice-tone"]),
    st.from_regex(r"[A-Za-z0-9]{1,20}", fullmatch=True),
    st.from_regex(r"[a-z0-9]([:_.-][a-z0-9]){0,9}", fullmatch=True),
)
def test_a_key_names_its_own_task(kind, connector, task):
    """`parse_ref` is the inverse of `TaskRef.key`."""
    ref = TaskRef(kind, (connector, task))
    assert parse_ref(ref.key, CATALOG) == ref


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "shape"),
        ("abc", "shape"),
        ("a/b/c/d/e", "shape"),
        ("other/abc/def", "kind"),
        (f"elsewhere/speaker-search/{VC}/{TASK}", "scope"),
        ("abc/", "field"),
        ("/def", "field"),
        ("abc/%2e%2e", "id"),
        ("abc/a%2Fb", "id"),
        ("abc/a%ffb", "id"),
        ("abc/a\udc80", "id"),
    ],
)
def test_an_invalid_reference_has_its_reason(text, reason):
    """It is rejected and never guessed."""
    with pytest.raises(InvalidInput) as caught:
        parse_ref(text, CATALOG)
    assert caught.value.reason == reason


def test_a_reason_repeats_nothing_of_the_body():
    """Neither its text nor a traceback that it keeps has a word of the body."""
    canary = "vp-canary-505e0992"
    bad = [
        {**OWN, "speaker_search_task_id": f"..{canary}"},
        {**OWN, "kind": canary},
        {**OWN, "target": canary, "region": canary},
        {**OWN, "deadline_s": canary},
        {**OWN, "version": canary},
        {canary: canary},
    ]
    bodies = [json.dumps(message).encode() for message in bad] + [
        f'{{"{canary}":1,"{canary}":2}}'.encode(),
        canary.encode(),
        f'["{canary}'.encode(),
    ]
    for body in bodies:
        (outcome,) = read(body, CATALOG, now=NOW, scopes=SCOPES)
        assert isinstance(outcome, InvalidInput)
        assert canary not in repr(outcome) + str(outcome)
        assert outcome.__traceback__ is None
        assert outcome.__context__ is None


WORDS = [
    "Type",
    "Message",
    "Notification",
    "detail-type",
    "detail",
    "specversion",
    "1.0",
    "data",
    "data_base64",
    "SpeakerSearchStatus",
    "kind",
    "version",
]
WORDS += [
    "source",
    "aws.chime",
    "region",
    "target",
    "context",
    "deadline_s",
    "deadline_at",
    "taskId",
    "voiceConnectorId",
    "SpeakerSearchTask",
    "CallDetails",
    "eventName",
    "StartSpeakerSearchTask",
    "AWS API Call via CloudTrail",
    "responseElements",
    "speakerSearchTask",
    "Records",
    "eventSource",
    "aws:sqs",
    "body",
    "input",
    "a/b",
    "SpeakerSearchTaskStatus",
    "IN_QUEUE",
    "CreatedTimestamp",
]
WORDS += [*OWN, "VoiceConnectorId", "SpeakerSearchTaskId", VC, *CATALOG.kinds]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=6),
    max_leaves=30,
)


def assert_answered(body):
    for plain in (False, True):
        for outcome in read(body, CATALOG, now=NOW, scopes=SCOPES, plain=plain):
            assert isinstance(outcome, Submission | Ignored) or (isinstance(outcome, InvalidInput) and outcome.reason in REASONS)
    assert FORBIDDEN_MEMBERS.issuperset(steering_members(body, CATALOG))


@given(st.binary(max_size=200))
def test_any_bytes_have_outcomes(body):
    """Nothing raises, and every outcome is a submission or has a known reason."""
    assert_answered(body)


@given(anything)
def test_any_json_has_outcomes(value):
    """Also JSON made of the words that have a meaning here."""
    assert_answered(json.dumps(value).encode())


@given(anything, st.integers(0, 200), st.binary(max_size=3))
def test_any_damaged_json_has_outcomes(value, at, damage):
    """Also JSON that was cut or overwritten at any place."""
    body = json.dumps({**OWN, "detail": value}).encode()
    assert_answered(body[:at] + damage + body[at + len(damage) :])
