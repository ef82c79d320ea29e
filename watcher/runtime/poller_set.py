"""One poller for each quota of each target, so that a throttled quota slows no other. Routes each watch to its poller.

A poller is made for the first watch that needs it: a catalog has dozens of quotas, each of them once for each target.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from urllib.parse import unquote

import anyio
from anyio.abc import TaskGroup

from watcher.core.ownership.pace_share import pace_share
from watcher.core.polling.cadence import STEER_S
from watcher.core.polling.target_quota import TargetQuota
from watcher.model import DEFAULT_TARGET, Claim, Observation, QuotaUse, Watch
from watcher.runtime.feed import NOTHING_OBSERVED
from watcher.runtime.instruments import Instruments
from watcher.runtime.leases import Leases
from watcher.runtime.open_reads import OpenRead, OpenReads
from watcher.runtime.poller_factory import PollerFactory
from watcher.runtime.polling import Poller
from watcher.runtime.wakeup import IntakeGate

NEW_S = 30.0
"""A watch that no poll has seen counts as new for this long after its admission, in seconds: longer than a shard has no owner."""


class PollerSet:
    """All open watches of the shards that this process owns. Pauses intake at `max_watches`."""

    def __init__(
        self, factory: PollerFactory, leases: Leases, gate: IntakeGate, max_watches: int, instruments: Instruments, reads: OpenReads
    ) -> None:
        self.reads = reads
        """The reads of the store whose watches may be added here."""
        self.restore: Callable[[Poller], Awaitable[None]] = _nothing_learned
        """Called with each new poller before its first call, to continue with what an earlier process learned."""
        self.on_started: Callable[[], None] = lambda: None
        """Called when a new poller has started: the other replicas must know of it."""
        self._factory = factory
        self._by_quota: dict[TargetQuota, Poller] = {}
        self._claim = Claim(())
        """The last claim of shards, and with it the other replicas."""
        self._ready = set(factory.from_start)
        """The quotas of the pollers in `ready`."""
        self._running: TaskGroup | None = None
        self._stopped = anyio.Event()
        self._leases = leases
        self._gate = gate
        self._max_watches = max_watches
        self._clock = instruments.clock
        self._metrics = instruments.metrics
        for of in factory.from_start:
            self._make(of)

    def __iter__(self) -> Iterator[Poller]:
        return iter(list(self._by_quota.values()))

    def __len__(self) -> int:
        return sum(len(poller.pending) for poller in self)

    def __contains__(self, key: str) -> bool:
        return any(poller.polls(key) for poller in self._of_key(key))

    @property
    def ready(self) -> Sequence[Poller]:
        """The pollers that continue with what was learned: only what these know is saved, and reported to other replicas."""
        return [poller for poller in self if poller.of in self._ready]

    @property
    def polled(self) -> tuple[Collection[str], Collection[str]]:
        """The kinds and the targets of tasks that can be polled. Other watches stay in the store."""
        return self._factory.catalog.kinds, self._factory.targets

    @property
    def in_flight(self) -> int:
        """Tasks whose call is in flight."""
        return sum(poller.pending.in_flight for poller in self)

    @property
    def counts(self) -> Counter[tuple[str, str | None]]:
        """Open watches by (kind, status)."""
        return sum((poller.pending.counts for poller in self), Counter())

    def report(self) -> dict[str, QuotaUse]:
        """What this process tells the other replicas about its calls, by the name of the quota and its target."""
        return {poller.of.name: self._use(poller) for poller in self.ready}

    def share_pace(self, claim: Claim) -> None:
        """Divide the calls under each quota among this process and the other replicas of a claim."""
        self._claim = claim
        for poller in self.ready:
            self._share_pace_of(poller, self._use(poller))

    def _share_pace_of(self, poller: Poller, mine: QuotaUse) -> None:
        now, pace = self._clock.mono(), poller.policy.pace
        share = pace_share(poller.of.name, mine, self._claim, self._leases.shards)
        pace.share(share.sharers, now)
        if share.sharers > 1 and share.blend:
            pace.blend(share.rate, now)
        elif share.sharers > 1:
            pace.join(share.rate, now)

    def _use(self, poller: Poller) -> QuotaUse:
        pace = poller.policy.pace
        return QuotaUse(pace.rate, len(poller.pending), poller.pending.lateness(self._clock.mono()), pace.sharers)

    def adopt(self, watches: Sequence[Watch], read: OpenRead, *, new: bool = False) -> None:
        """Start to poll watches that this read of the store returned, as far as this process owns their shards.

        A watch that is here already, or was since the read began, is newer than what the store returned. Another watch of the
        same task that was here before is older: it was erased, and the task was submitted again.

        `new`: they were submitted just now. Others came with their shard. Thousands of these may be overdue, so they wait in the
        backlog, except those that were submitted while their shard changed its owner.
        """
        now = self._clock.wall()
        for watch in watches:
            here = self.watched(watch.key)
            if self._leases.owns(watch.key) and read.is_current(watch) and (here is None or read.replaces(here)):
                self._add(watch, adopted=not new and (watch.seen_at is not None or now - watch.admitted_at > NEW_S))
        self.check_limit()

    def add(self, watches: Sequence[Watch], observed: Mapping[str, Observation] = NOTHING_OBSERVED, source: str = "") -> None:
        """Start to poll new watches, as far as this process owns their shards. The owner of the others adds them.

        `observed`: by key, what a message says about the state of a task. The task then needs no poll at once. `source`: the
        name of the source of the watches.
        """
        for watch in watches:
            if self._leases.owns(watch.key):
                self._add(watch, observed.get(watch.key), source)
        self.check_limit()

    def release(self, shard: int) -> None:
        """Stop polling a shard. Calls in flight finish; their commits succeed only while the lease is valid."""
        for poller in self:
            poller.drop_where(lambda key: self._leases.shard(key) == shard)

    def busy(self, shard: int) -> bool:
        """Whether calls about tasks of this shard are in flight, or what they showed is being written."""
        return any(self._leases.shard(key) == shard for poller in self for key in poller.pending.keys_in_flight)

    def wake(self) -> None:
        """Look for work again: the leases were renewed after they had nearly ended."""
        for poller in self:
            poller.wake()

    def poll_now(self, key: str) -> bool:
        """Poll this task before all others. Returns False when it is not watched here."""
        return any(poller.poll_now(key) for poller in self._of_key(key))

    def watched(self, key: str) -> str | None:
        """The id of the watch under this key, None when there is none."""
        return next((found for poller in self._of_key(key) if (found := poller.watched(key)) is not None), None)

    def forget(self, key: str, watch_id: str) -> None:
        """Stop polling the task for this watch. Another watch of the same task, added since, stays."""
        for poller in self._of_key(key):
            poller.forget(key, watch_id)

    def cancel(self, watches: Mapping[str, str]) -> None:
        """End these watches (ids by key) with the reason `cancelled`. For watches that are not loaded yet, call it again later."""
        for poller in self:
            poller.cancel(watches)

    def check_limit(self) -> None:
        """Pause intake at the limit of open watches, and resume it below."""
        if len(self) >= self._max_watches:
            self._gate.pause("max_watches", "intake resumes as watches end; raise limits.max_watches or the pace")
        else:
            self._gate.resume("max_watches")

    def stop(self) -> None:
        """Start no more calls. Calls in flight finish, and `run` returns."""
        self._stopped.set()
        for poller in self:
            poller.stop()

    async def run(self) -> None:
        """Poll until `stop`."""
        async with anyio.create_task_group() as self._running:
            for poller in self:
                self._start(poller, self._running)
            await self._stopped.wait()
            self._running = None

    async def steer(self) -> None:
        """Every half second, until cancelled: adjust the price of a call to the pace, and report both."""
        shown: Counter[tuple[str, str | None]] | None = None
        while True:
            await anyio.sleep(STEER_S)
            now = self._clock.mono()
            self._metrics.in_flight.set(self.in_flight)
            counts = self.counts
            if counts != shown:
                self._metrics.show_watches(counts)
                shown = counts
            for poller in self:
                labels = (poller.of.target, poller.quota.name)
                self._metrics.due_lateness.labels(*labels).set(poller.schedule.steer(now))
                self._metrics.price.labels(*labels).set(poller.policy.cadence.price)
                for (kind, status), known in poller.policy.cadence.announcements:
                    self._metrics.show_announced(kind, status, known.current_share)
                self._metrics.pace_rate.labels(*labels).set(poller.policy.pace.rate)

    def _add(self, watch: Watch, seen: Observation | None = None, source: str = "", *, adopted: bool = False) -> None:
        of = self._factory.quota_of(watch.ref)
        if of is None:
            return  # the watch stays in the store
        poller = self._by_quota.get(of) or self._make(of)
        poller.add(watch, seen, source, adopted=adopted)
        self.reads.note_start(watch.id)

    def _make(self, of: TargetQuota) -> Poller:
        poller = self._by_quota[of] = self._factory.make(of)
        poller.on_ended(self.reads.note_end)
        if self._running is not None and not self._stopped.is_set():
            self._start(poller, self._running)  # after `stop`, nothing would end it
        return poller

    def _start(self, poller: Poller, running: TaskGroup) -> None:
        running.start_soon(self._run, poller, name=f"polling {poller.of.name}")

    async def _run(self, poller: Poller) -> None:
        if poller.of not in self._ready:
            await self.restore(poller)
            self._share_pace_of(poller, replace(self._use(poller), watches=0))
            self._ready.add(poller.of)
            self.on_started()
        await poller.run()

    def _of_key(self, key: str) -> Iterator[Poller]:
        """The pollers that may have this key: a target and a kind can have the same name, so there may be two."""
        first, second = (unquote(part) for part in f"{key}/".split("/", 2)[:2])
        for target, kind in ((DEFAULT_TARGET, first), (first, second)):
            if kind in self._factory.catalog and (poller := self._by_quota.get(TargetQuota(self._factory.catalog[kind].quota, target))):
                yield poller


async def _nothing_learned(poller: Poller) -> None:
    """Continue with nothing."""
