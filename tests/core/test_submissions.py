"""What an input message requests, and each reason why one names no task."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.intake.envelopes import MAX_LAYERS
from watcher.core.intake.strict_json import MAX_DEPTH
from watcher.core.intake.submissions import FORBIDDEN_MEMBERS, MAX_BATCH, MAX_BODY, REASONS, parse_ref, read, steering_members
from watcher.errors import InvalidInput
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Submission, TaskRef

NOW = 1_790_000_000.0
CATALOG = builtin_catalog()
REGION = "us-east-1"
VC = "abcdef1ghij2klmno3pqr4"
TASK = "2f6f7d1e-6b0c-4a58-9d3e-0d6a5c1b7a11"
REF = TaskRef("speaker-search", (VC, TASK))
OWN = {"voice_connector_id": VC, "speaker_search_task_id": TASK}
MESSAGES = Path(__file__).parent.parent / "data" / "messages"
ACCEPTED = sorted((MESSAGES / "accepted").iterdir())
REJECTED = sorted((MESSAGES / "rejected").iterdir())


def outcomes(message, **options):
    return read(json.dumps(message).encode(), CATALOG, **{"now": NOW, "region": REGION, **options})


def notification(detail_type="SpeakerSearchStatus", **detail):
    return {"detail-type": detail_type, "source": "aws.chime", "service-type": "VoiceAnalytics", "region": REGION, "detail": detail}


def reasons(found):
    return [outcome.reason if isinstance(outcome, InvalidInput) else "" for outcome in found]


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_each_form_names_the_same_task(path):
    """Every accepted form, bare or in envelopes, requests the one task that it names."""
    (outcome,) = read(path.read_bytes(), CATALOG, now=NOW, region=REGION)
    assert isinstance(outcome, Submission)
    assert outcome.ref == REF
    assert not outcome.poll_now


@pytest.mark.parametrize("path", REJECTED, ids=lambda path: path.stem)
def test_each_invalid_message_has_its_reason(path):
    """One outcome for each, with the reason that the file's name begins with."""
    assert reasons(read(path.read_bytes(), CATALOG, now=NOW, region=REGION)) == [path.name.split(".")[0]]


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


def test_three_envelopes_are_unwrapped():
    """Also through base64; a fourth is rejected."""
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
    """Its fields, the API's names, and a whole reply, with nothing but the declaration of the kind."""
    ids = [f"id{number}" for number, _ in enumerate(kind.params)]
    ref = TaskRef(kind.name, tuple(ids))
    by_field = {param.field: value for param, value in zip(kind.params, ids, strict=True)}
    by_name = {param.name: value for param, value in zip(kind.params, ids, strict=True)}
    last = kind.params[-1].name
    reply = {kind.reply.member: {last: by_name.pop(last), "CallDetails": dict(by_name)}}
    for message in (by_field, {"kind": kind.name, **by_field}, {**by_name, last: ids[-1]}, reply):
        assert outcomes(message) == [Submission(ref)]


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
    assert reasons(outcomes({**OWN, "region": REGION}, region=None)) == ["scope"]


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
    assert outcomes({"Type": kind, "SubscribeURL": "http://evil.test/", "Token": "t", "Message": "You have chosen..."}) == []


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
    assert outcomes(message) == []


def test_a_plain_reference_is_accepted_where_the_source_says_so():
    """Beside JSON; from any other source it is not JSON."""
    body = f"{VC}/{TASK}\r\n".encode()
    assert read(body, CATALOG, now=NOW, plain=True) == [Submission(REF)]
    assert reasons(read(body, CATALOG, now=NOW)) == ["parse"]
    assert read(b"\xef\xbb\xbf \t" + json.dumps(OWN).encode(), CATALOG, now=NOW, plain=True) == [Submission(REF)]
    assert reasons(read(b"\xef\xbb\xbf \n", CATALOG, now=NOW, plain=True)) == ["empty"]
    assert reasons(read(b"null", CATALOG, now=NOW, plain=True)) == ["shape"]


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
        (outcome,) = read(body, CATALOG, now=NOW, region=REGION)
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
        for outcome in read(body, CATALOG, now=NOW, region=REGION, plain=plain):
            assert isinstance(outcome, Submission) or (isinstance(outcome, InvalidInput) and outcome.reason in REASONS)
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
