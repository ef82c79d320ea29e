"""How botocore's retry modes use a quota, for comparison with the pace: the real handlers of a real client, on virtual time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import boto3
from botocore.config import Config
from botocore.retries import adaptive, bucket

from tests.benchmarks.fleet import TRIP_S, Fleet, Paced
from tests.benchmarks.table import Table, command
from watcher.simulator.quota import TokenBucket

QUOTAS = (5, 20, 100)
EVERY_S = 5.0
CROWD = 10
"""Tasks for each call per second of the quota. Polled every 5 s each, they need twice what the quota allows."""
OPERATION = "GetSpeakerSearchTask"
CODES = {"ThrottledClientException": 429, "ThrottlingException": 400}

NOTE = """
There are ten tasks for each call per second of the quota. Each task has a loop of its own: call, wait 5 s, call again. Together they want
twice the quota. The retry handlers are botocore's, taken from real clients of each mode, and decide about each answer. The rest (the
clock, the round trip, the bucket) is simulated, and nothing is sent. Each cell has the share of the quota that was used, the share of all
requests that were throttled, and the share of the application's calls that ended in an exception. Chime SDK Voice answers with
`ThrottledClientException` (429). `standard` and `adaptive` do not know it: they raise at once, and the limiter of `adaptive` never starts.
So the table also shows `ThrottlingException` (400), which they know.
"""


@dataclass(frozen=True, slots=True)
class Response:
    """The part of an HTTP response that the handlers read."""

    status_code: int
    headers: dict[str, str]
    content: bytes = b""


def run(quick: bool) -> Table:
    """Run each mode with each quota and each error code; then the pace."""
    quotas = QUOTAS[:1] if quick else QUOTAS
    rows = [
        [f"{mode}, `{code}`", *(_cell(*Loops(quota, mode, code).measure(300)) for quota in quotas)]
        for code in CODES
        for mode in ("legacy", "standard", "adaptive")
    ]
    rows.append(["the watcher's pace", *(_cell(*_watcher(quota)) for quota in quotas)])
    return Table("Pace: compared with botocore's retry modes", command("sdk"), NOTE, ["", *(f"{quota}/s" for quota in quotas)], rows)


def _cell(used: float, throttled: float, failed: float) -> str:
    return f"{used:.0%}, {throttled:.1%}, {failed:.1%}"


def _watcher(quota: float) -> tuple[float, float, float]:
    fleet = Fleet(quota, [Paced()])
    fleet.run(100)
    fleet.reset_tally()
    fleet.run(300)
    return fleet.tally.accepted[0] / (300 * quota), fleet.tally.throttled_share([0]), 0.0


class Loops:
    """A loop for each task, all through the handlers of one client."""

    def __init__(self, quota: float, mode: str, code: str) -> None:
        random.seed(1)  # the handlers draw their jitter from here
        self.now, self.quota, self.code = 0.0, quota, code
        bucket.Clock.current_time = lambda _: self.now  # type: ignore[method-assign] # the process does nothing else
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        retries = {"mode": "standard" if mode == "adaptive" else mode}
        self.client = boto3.client("chime-sdk-voice", region_name="us-east-1", **keys, config=Config(retries=retries))
        # the mode `adaptive` is `standard` with this limiter in front of it
        self.limiter = adaptive.register_retry_handler(self.client) if mode == "adaptive" else None
        self.operation = self.client.meta.service_model.operation_model(OPERATION)
        self.bucket = TokenBucket(quota)
        self.accepted = self.throttled = self.calls = self.failed = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        for _ in range(int(CROWD * quota)):
            self._at(random.uniform(0, EVERY_S), self._begin)

    def measure(self, seconds: float) -> tuple[float, float, float]:
        """The shares used, throttled, and failed, measured after 100 s."""
        self._until(100)
        self.accepted = self.throttled = self.calls = self.failed = 0
        self._until(self.now + seconds)
        requests = self.accepted + self.throttled
        return self.accepted / (self.quota * seconds), self.throttled / requests, self.failed / self.calls

    def _until(self, end: float) -> None:
        while self._events[0][0] <= end:
            self.now, _, act = heapq.heappop(self._events)
            act()
        self.now = end

    def _at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), act))

    def _begin(self) -> None:
        self.calls += 1
        self._send({}, 1)

    def _send(self, context: dict[str, object], attempt: int) -> None:
        """Make a request when the limiter of `adaptive` allows it. In botocore it blocks its thread; here the request is delayed."""
        if self.limiter is not None and self.limiter._enabled:
            tokens = self.limiter._token_bucket
            tokens._refill()
            wait = tokens._sleep_amount(1)
            if wait > 0:
                self._at(self.now + wait + 1e-6, lambda: self._send(context, attempt))
                return
            tokens.acquire()
        good = self.bucket.take(self.now)
        self.accepted, self.throttled = self.accepted + good, self.throttled + (not good)
        self._at(self.now + TRIP_S * random.uniform(0.5, 1.5), lambda: self._replied(context, attempt, good))

    def _replied(self, context: dict[str, object], attempt: int, good: bool) -> None:
        status = 200 if good else CODES[self.code]
        parsed = {} if good else {"Error": {"Code": self.code, "Message": ""}}
        response = Response(status, {})
        answers = self.client.meta.events.emit(
            f"needs-retry.chime-sdk-voice.{OPERATION}",
            response=(response, {**parsed, "ResponseMetadata": {"HTTPStatusCode": status}}),
            endpoint=None,
            operation=self.operation,
            attempts=attempt,
            caught_exception=None,
            request_dict={"context": context},
        )
        delay = next((answer for _, answer in answers if answer is not None), None)
        if delay is not None:
            self._at(self.now + delay, lambda: self._send(context, attempt + 1))
            return
        self.client.meta.events.emit(f"after-call.chime-sdk-voice.{OPERATION}", context=context, http_response=response)
        self.failed += not good
        self._at(self.now + EVERY_S, self._begin)
