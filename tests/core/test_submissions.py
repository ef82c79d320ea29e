"""What a queue message asks for, and each reason why one is no task."""

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
    """B05: every accepted form, bare or wrapped, asks for the one task it names."""
    (outcome,) = read(path.read_bytes(), CATALOG, now=NOW, region=REGION)
    assert isinstance(outcome, Submission)
    assert outcome.ref == REF
    assert not outcome.poll_now


@pytest.mark.parametrize("path", REJECTED, ids=lambda path: path.stem)
def test_each_bad_message_has_its_reason(path):
    """B01-B03, B07: each bad input is one rejection, with the reason that its file name begins with."""
    assert reasons(read(path.read_bytes(), CATALOG, now=NOW, region=REGION)) == [path.name.split(".")[0]]


def test_every_reason_has_an_example():
    """No reason is promised that nothing can have."""
    assert {path.name.split(".")[0] for path in REJECTED} == REASONS


def test_size_is_counted_in_bytes():
    """B01: a body of exactly the limit is read, one byte more is refused before it is parsed."""
    fill = MAX_BODY - len(json.dumps(OWN))
    assert reasons(read(json.dumps(OWN).encode() + b" " * fill, CATALOG, now=NOW)) == [""]
    assert reasons(read(json.dumps(OWN).encode() + b" " * (fill + 1), CATALOG, now=NOW)) == ["size"]


def test_depth_ends_at_the_limit_and_not_before():
    """B01: brackets inside strings are no nesting, and the greatest depth allowed is accepted."""
    nested = json.loads("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))
    assert reasons(outcomes({**OWN, "context": nested})) == [""]
    assert reasons(outcomes({**OWN, "context": [nested]})) == ["depth"]
    assert reasons(outcomes({**OWN, "context": '["' * 500 + "\\"})) == [""]


@pytest.mark.parametrize("text", ['"' + '\\"' * 130_000, "[" * 250_000, '{"":' * 60_000, '"a' * 130_000, "\\" * 260_000])
def test_texts_made_to_be_slow_are_refused_as_any_other(text):
    """Unclosed quotes and brackets up to the size limit give a reason; a quadratic scan would take hours here."""
    assert reasons(read(text.encode(), CATALOG, now=NOW)) in (["parse"], ["depth"])


def test_envelopes_nest_three_deep():
    """Three layers come off, also through base64; the fourth is refused."""
    message = OWN
    for _ in range(MAX_LAYERS):
        message = {"specversion": "1.0", "data_base64": base64.b64encode(json.dumps(message).encode()).decode()}
    assert reasons(outcomes(message)) == [""]
    assert reasons(outcomes({"Type": "Notification", "Message": json.dumps(message)})) == ["depth"]


def test_a_bad_element_leaves_its_mates_alone():
    """A batch has one outcome for each element, in order, and the reason says which element it was."""
    found = outcomes([OWN, {**OWN, "speaker_search_task_id": ".."}, 7, {**OWN, "speaker_search_task_id": "other"}])
    assert reasons(found) == ["", "id", "shape", ""]
    assert found[1].detail.startswith("element 2: ")
    assert found[3].ref.params == (VC, "other")


def test_envelopes_may_stand_in_a_batch():
    """A list of envelopes is unwrapped element by element."""
    wrapped = {"Type": "Notification", "Message": json.dumps([OWN, {}])}
    found = outcomes([wrapped, OWN])
    assert reasons(found) == ["", "field", ""]
    assert found[1].detail.startswith("element 1: element 2: ")


def test_a_list_of_rubbish_is_one_dead_letter():
    """A message may not multiply itself into a hundred thousand outcomes."""
    assert len(outcomes([1] * MAX_BATCH)) == MAX_BATCH
    assert reasons(outcomes([1] * (MAX_BATCH + 1))) == ["size"]


@pytest.mark.parametrize("kind", CATALOG, ids=lambda kind: kind.name)
def test_every_kind_is_recognised_by_its_own_words(kind):
    """Nothing but the declaration of a kind is needed for its own spelling, the API's, and a reply pasted whole."""
    ids = [f"id{number}" for number, _ in enumerate(kind.params)]
    ref = TaskRef(kind.name, tuple(ids))
    by_field = {param.field: value for param, value in zip(kind.params, ids, strict=True)}
    by_name = {param.name: value for param, value in zip(kind.params, ids, strict=True)}
    last = kind.params[-1].name
    reply = {kind.reply.member: {last: by_name.pop(last), "CallDetails": dict(by_name)}}
    for message in (by_field, {"kind": kind.name, **by_field}, {**by_name, last: ids[-1]}, reply):
        assert outcomes(message) == [Submission(ref)]


def test_two_replies_in_one_message_are_two_tasks():
    """Each task named has its own outcome, also when one of them is bad."""
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
    """Any JSON up to 4 KiB comes back as it was, written in one way; null is none."""
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
def test_deadline_is_seconds_and_cut_to_thirty_days(members, seconds):
    """B07: relative or absolute, and ten years are thirty days."""
    (outcome,) = outcomes({**OWN, **members})
    assert outcome.deadline_s == seconds


def test_a_deadline_at_this_very_moment_has_passed():
    """B07: what leaves no time is refused, not watched for no time."""
    assert reasons(outcomes({**OWN, "deadline_at": NOW})) == ["field"]


@pytest.mark.parametrize(
    "members", [{"region": REGION}, {"target": "default"}, {"version": 1}, {"schema_version": "1.0"}, {"region": None}]
)
def test_what_is_configured_may_be_said(members):
    """B03: naming the configured region, target and the present version changes nothing."""
    assert outcomes({**OWN, **members}) == [Submission(REF)]


def test_a_region_is_out_of_scope_where_none_is_configured():
    """B03: a message cannot choose the region that the configuration left open."""
    assert reasons(outcomes({**OWN, "region": REGION}, region=None)) == ["scope"]


def test_steering_members_are_ignored_and_counted():
    """B04: the task is taken as if they were not there, and each is counted, however spelled and wrapped."""
    steering = {"endpoint_url": "http://evil.test", "RoleArn": "arn:x", "sink": {"type": "webhook"}}
    wrapped = {"Type": "Notification", "TopicArn": "arn:of-the-envelope", "Message": json.dumps([{**OWN, **steering}, OWN])}
    assert outcomes(wrapped) == [Submission(REF), Submission(REF)]
    found = steering_members(json.dumps(wrapped).encode(), CATALOG)
    assert sorted(found) == ["endpoint_url", "role_arn", "sink"]
    assert FORBIDDEN_MEMBERS.issuperset(found)
    assert steering_members(b"{not json", CATALOG) == ()
    assert steering_members(json.dumps({**OWN, "context": steering}).encode(), CATALOG) == []


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_sns_confirmations_ask_for_nothing(kind):
    """B06: nothing to do, hence an empty outcome that is acknowledged; the URL is not even looked at."""
    assert outcomes({"Type": kind, "SubscribeURL": "http://evil.test/", "Token": "t", "Message": "You have chosen..."}) == []


@pytest.mark.parametrize("member", ["taskId", "speakerSearchTaskId", "SpeakerSearchTaskId"])
def test_aws_notifications_are_hints(member):
    """A notification about a kind of ours names the task as one to ask about now, bare or through SNS."""
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
def test_aws_notifications_about_nothing_of_ours_ask_for_nothing(message):
    """AWS sends more to a notification target than we can ask about: that is no poison."""
    assert outcomes(message) == []


def test_plain_references_are_for_lines_only():
    """`VC/TASK` is taken where the source says so, beside JSON, and from a queue never."""
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
    st.sampled_from(sorted(CATALOG.kinds)),
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
def test_references_that_name_nothing(text, reason):
    """What is no reference is refused with a reason, never guessed at."""
    with pytest.raises(InvalidInput) as caught:
        parse_ref(text, CATALOG)
    assert caught.value.reason == reason


def test_reasons_repeat_nothing_that_was_read():
    """I7: whatever was wrong, the text of the rejection has no word of the body in it, and no traceback keeps the body."""
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
def test_any_bytes_are_answered(body):
    """Nothing raises, and every outcome is a submission or a known reason."""
    assert_answered(body)


@given(anything)
def test_any_json_is_answered(value):
    """Nothing raises for any JSON made of our own words, either."""
    assert_answered(json.dumps(value).encode())


@given(anything, st.integers(0, 200), st.binary(max_size=3))
def test_any_damage_is_answered(value, at, damage):
    """Nothing raises for JSON that was cut and spoiled somewhere."""
    body = json.dumps({**OWN, "detail": value}).encode()
    assert_answered(body[:at] + damage + body[at + len(damage) :])
