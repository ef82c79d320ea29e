// The samples of the last hour, kept by the page. The server sends only the samples since the last one.

const KEPT = 720;

export class Samples {
  rows = [];
  every = 5;

  /** The time after which the page needs samples, in seconds since the epoch. */
  get since() {
    return this.rows.at(-1)?.at ?? 0;
  }

  /** Adds the columns of an answer. */
  add(history) {
    this.every = history.every_s;
    history.at.forEach((at, n) => {
      if (at <= this.since) return;
      const pick = (columns) => Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[n]]));
      const { open, events_per_s, lag_mean_s, lag_p95_s, calls_per_task } = history;
      this.rows.push({
        at,
        ...pick({ open, events_per_s, lag_mean_s, lag_p95_s, calls_per_task }),
        quotas: Object.fromEntries(Object.entries(history.quotas).map(([name, columns]) => [name, pick(columns)])),
        backlog: pick(history.backlog),
      });
    });
    this.rows.splice(0, Math.max(0, this.rows.length - KEPT));
  }

  /** One value of each sample as [at, value], without those that have none. */
  points(value) {
    return this.rows.map((row) => [row.at, value(row)]).filter(([, found]) => found !== null && found !== undefined);
  }

  /** The newest value that is not missing, or null. */
  last(value) {
    return this.points(value).at(-1)?.[1] ?? null;
  }

  /** The first and the last time of a plot: what there is, but at least five minutes and at most one hour. */
  get span() {
    const end = this.rows.at(-1)?.at ?? Date.now() / 1000;
    const start = this.rows[0]?.at ?? end;
    return [Math.min(end - 300, Math.max(start, end - 3600)), end];
  }
}
