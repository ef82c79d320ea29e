"""Which promises about task tokens must hold after any run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from tests.simulation.batch_kind import NAME
from tests.simulation.executions import SINK, TOKEN_MARK, Answer
from tests.simulation.record import Record
from tests.simulation.truth import own_reason, truth_of
from tests.simulation.world import EPOCH
from watcher.core.intake.masked_tokens import masked


def judge_tokens(record: Record) -> Iterator[str]:
    """Every broken promise about task tokens, one sentence each."""
    executions = record.executions
    if executions is None:
        return
    yield from _no_token_shown(record)
    answers: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in executions.answers:
        answers[answer.token].append(answer)
    for token, key in record.tokens.items():
        if key in record.erased or key in record.resubmitted:
            continue  # its tokens were erased too, or it had several watches
        for answer in answers[token]:
            yield from _true(record, key, answer)
        if record.idle:
            yield from _answered(record, token, answers[token])
    if record.story.durable:
        yield from _no_token_given_up(record, answers)


def _answered(record: Record, token: str, answers: list[Answer]) -> Iterator[str]:
    """Each token was answered, or its execution ended before and there is a dead letter."""
    key, done = record.tokens[token], any(answer.took == "done" for answer in answers)
    closed = next((answer for answer in answers if answer.took == "closed"), None)
    if not done and closed is None:
        yield f"the token {token} of {key} was not answered: {answers}"
    elif not done and record.story.durable and not record.story.ends and not any(answer.doubtful for answer in answers):
        letters = [letter for letter in record.left.dead_letters if letter.origin == SINK and letter.key == key]
        if not letters:
            yield f"the token {token} of {key} was refused, and there is no dead letter: {answers}"


def _no_token_given_up(record: Record, answers: dict[str, list[Answer]]) -> Iterator[str]:
    """A dead letter is about a token whose execution ended without an answer."""
    for letter in record.left.dead_letters:
        if letter.origin != SINK or letter.key in record.erased or letter.key in record.resubmitted:
            continue
        lost = [token for token, key in record.tokens.items() if key == letter.key and all(each.took != "done" for each in answers[token])]
        if not lost:
            yield f"a dead letter of {letter.key} says {letter.reason}, and all of its tokens were answered"


def _true(record: Record, key: str, answer: Answer) -> Iterator[str]:
    """An answer says how the task ended, after the end was stored."""
    if answer.open:
        yield f"the token {answer.token} of {key} was answered before the end of the watch was stored, at {answer.at:.3f}"
    succeeds, truth = answer.operation == "send_task_success", truth_of(record, key)
    said = json.loads(answer.params["output"])["to"] if succeeds else answer.params["error"]
    began = dict(truth)
    if said in began:
        is_end = said == truth[-1][0] or said == "PARTIAL_SUCCESS"
        if not is_end or succeeds != _succeeded(key, said):
            yield f"the token {answer.token} of {key} was answered with {answer.operation} {said}: {truth}"
        if answer.at + EPOCH < began[said]:
            yield f"the token {answer.token} of {key} was answered at {answer.at:.3f}, before the end of the task: {truth}"
    elif said not in (own_reason(key), "cancelled" if key in record.cancelled else None):
        yield f"the token {answer.token} of {key} was answered with {answer.operation} {said}: {truth}"


def _succeeded(key: str, status: str) -> bool:
    return status == "STOPPED" if key.startswith(f"{NAME}/") else status in ("SUCCEEDED", "PARTIAL_SUCCESS")


def _no_token_shown(record: Record) -> Iterator[str]:
    """No event, dead letter, or metric has a token. A message that is a dead letter has it, to be retried, but does not show it."""
    mark = TOKEN_MARK.encode()
    for inbox in record.inboxes:
        if any(mark in sent.event.body or sent.event.task_tokens for sent in inbox.sent):
            yield f"{inbox.name} got a task token"
    for letter in record.left.dead_letters:
        shown = letter.body if letter.what == "event" else masked(letter.body)
        if mark in shown or TOKEN_MARK in f"{letter.reason} {letter.detail} {letter.id}":
            yield f"a dead letter of {letter.key} shows a task token"
    if any(mark in page for page in record.metrics):
        yield "the metrics have a task token"
