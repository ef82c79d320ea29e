"""Turns submissions into durable watches. One operation for every input: sources now, the API later."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog

from watcher.core.polling.transitions import WatchSettings
from watcher.model import NO_TOKENS, Observation, Submission, TaskTokens, Watch
from watcher.ports import Store
from watcher.runtime.clock import Clock
from watcher.runtime.feed import Feed
from watcher.runtime.open_reads import OpenReads

log = structlog.get_logger("watcher.intake")


@dataclass(frozen=True, slots=True)
class Admitted:
    """The outcome of one submission: the watch that now exists for its task.

    `admitted`: the watch is new. `known`: the task was already watched. `ended`: the task was watched before, to its end.
    """

    watch: Watch
    outcome: Literal["admitted", "known", "ended"]


class Admission:
    """Admits tasks and announces the new watches to the feed. Needs no ownership of their shards.

    `owns`: whether this process owns the shard of a key.
    """

    def __init__(
        self,
        store: Store,
        feed: Feed,
        settings: WatchSettings,
        new_id: Callable[[], str],
        clock: Clock,
        reads: OpenReads,
        owns: Callable[[str], bool] = lambda key: True,
    ) -> None:
        self.keeps_tokens = False
        """Whether a sink answers task tokens. Else none is stored."""
        self.on_late_token: Callable[[], None] = lambda: None
        """Called after a token was stored for a task that has ended."""
        self._store = store
        self._owns = owns
        self._feed = feed
        self._settings = settings
        self._new_id = new_id
        self._clock = clock
        self._reads = reads
        self._warned = False
        """The log says already that no sink answers task tokens."""

    async def submit(self, submissions: Sequence[Submission], source: str = "") -> Sequence[Admitted]:
        """Make the tasks durable in one write. Returns an outcome for each submission, in order.

        Of several submissions of the same task the first one counts. `source` is the name of their source: the
        cadence learns for each source whether its tasks have left their first status.
        """
        if not submissions:
            return []
        now = self._clock.wall()
        watches: dict[str, Watch] = {}
        observed: dict[str, Observation] = {}
        for submission in submissions:
            if submission.ref.key not in watches:
                watches[submission.ref.key] = self._new_watch(submission, now)
                if submission.observation is not None:
                    observed[submission.ref.key] = submission.observation
        tokens = self._tokens(submissions)
        with self._reads.begin() as read:
            existing = {watch.key: watch for watch in await self._store.admit(list(watches.values()), tokens)}
            new = {key for key, watch in existing.items() if watch.id == watches[key].id}
            if fresh := [watch for key, watch in existing.items() if key in new and read.is_current(watch)]:
                # only for new watches: an old message that comes again must never move a watch back
                self._feed.admitted(fresh, {key: observation for key, observation in observed.items() if key in new}, source)
        if any(not existing[key].open for key in tokens):
            self.on_late_token()
        if look_now := [each.ref.key for each in submissions if each.look_now and each.ref.key in new]:
            await self.notify(look_now)  # the owner of the task polls it
        return [self._outcome(existing[submission.ref.key], new) for submission in submissions]

    async def notify(self, keys: Sequence[str]) -> Collection[str]:
        """Announce that AWS sent notifications about these tasks. Returns those that are polled, here or by another replica."""
        polled = {key for key in keys if self._feed.notified(key)}
        elsewhere = [key for key in dict.fromkeys(keys) if key not in polled and not self._owns(key)]
        return polled.union(await self._store.announce(elsewhere)) if elsewhere else polled

    def _tokens(self, submissions: Sequence[Submission]) -> TaskTokens:
        """The task tokens of these submissions, by key. None if no sink answers them: a secret that is of no use is not stored."""
        tokens: dict[str, list[str]] = {}
        for submission in submissions:
            if submission.task_token is not None:
                tokens.setdefault(submission.ref.key, []).append(submission.task_token)
        if self.keeps_tokens or not tokens:
            return tokens
        if not self._warned:
            self._warned = True
            hint = "add a sink of the type stepfunctions; without it, the execution that sent the token waits until its timeout"
            log.warning("task_token_without_sink", hint=hint)
        return NO_TOKENS

    def _outcome(self, watch: Watch, new: set[str]) -> Admitted:
        if watch.key in new:
            new.discard(watch.key)  # a second submission of the same task finds it
            return Admitted(watch, "admitted")
        return Admitted(watch, "known" if watch.open else "ended")

    def _new_watch(self, submission: Submission, now: float) -> Watch:
        deadline = submission.deadline_s if submission.deadline_s is not None else self._settings.deadline
        return Watch(submission.ref, self._new_id(), now, now + deadline, context=submission.context, trace=submission.trace)
