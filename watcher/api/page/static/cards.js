// The cards at the top of the overview: one number each, and its plot over the last hour.

import { h } from "./dom.js";
import { callsName, callsTitle, duration, number, percent } from "./format.js";
import { legend, plot } from "./plots.js";

/** Open tasks, detection lag, and calls per task. */
export function cards(overview, samples) {
  return [openCard(overview, samples), lagCard(samples), perTaskCard(samples)];
}

function openCard({ tasks }, samples) {
  const open = (row) => row.open;
  const rate = samples.last((row) => row.events_per_s);
  const most = Math.max(0, ...samples.points(open).map(([, value]) => value));
  return card("Open tasks", number(tasks.count ?? samples.last(open) ?? 0), samples, {
    label: `Open tasks: ${number(samples.last(open) ?? 0)} now, at most ${number(most)}.`,
    series: [{ name: "open", points: samples.points(open), style: "first", area: true }],
    write: number,
    entries: [{ name: "events", style: "none", value: rate === null ? "–" : `${number(rate)}/s` }],
  });
}

function lagCard(samples) {
  const mean = (row) => row.lag_mean_s;
  const high = (row) => row.lag_p95_s;
  const now = samples.rows.at(-1);
  return card("Detection lag", now?.lag_mean_s == null ? "–" : duration(now.lag_mean_s), samples, {
    label: `Time from a change to its detection, averaged over one minute: ${duration(samples.last(mean))} on average, and 95 % within ${duration(samples.last(high))}, at the last sample with a value.`,
    series: [
      { name: "95 % within", points: samples.points(high), style: "second" },
      { name: "mean", points: samples.points(mean), style: "first" },
    ],
    write: duration,
    entries: [
      { name: "mean", style: "first", value: duration(now?.lag_mean_s) },
      { name: "95 % within", style: "second", value: duration(now?.lag_p95_s) },
    ],
  });
}

function perTaskCard(samples) {
  const value = (row) => row.calls_per_task;
  const now = samples.rows.at(-1);
  return card("Calls per task", number(now?.calls_per_task), samples, {
    label: `Calls about a task until its end, mean of the tasks that ended in the last minute: ${number(samples.last(value))} at the last sample with a value.`,
    series: [{ name: "mean", points: samples.points(value), style: "first" }],
    write: number,
    entries: [{ name: "until its end, mean of one minute", style: "first", value: "" }],
  });
}

/** The calls under one quota against its pace. */
export function callsCard(calls, samples) {
  const of = (name) => samples.points((row) => row.quotas[callsName(calls)]?.[name] ?? null);
  const now = samples.rows.at(-1)?.quotas[callsName(calls)];
  const all = calls.answered + calls.throttled + calls.failed;
  const share = all ? percent(calls.throttled / all) : "none";
  return card(`Calls: ${callsTitle(calls)}`, `${number(now ? now.answered + now.throttled + now.failed : 0)}/s`, samples, {
    label: `Calls per second under the quota ${callsTitle(calls)}: ${number(all)} in the last minute, ${share} of them throttled; the pace allows ${number(calls.pace)}.`,
    series: [
      { name: "answered", points: of("answered"), style: "first", area: true },
      { name: "throttled", points: of("throttled"), style: "throttled", area: true },
      { name: "failed", points: of("failed"), style: "failed", area: true },
      { name: "pace", points: of("pace"), style: "limit" },
    ],
    write: (value) => `${number(value)}/s`,
    entries: [
      { name: "answered", style: "first", value: number(now?.answered ?? 0) },
      { name: "throttled", style: "throttled", value: number(now?.throttled ?? 0) },
      { name: "failed", style: "failed", value: number(now?.failed ?? 0) },
      { name: "pace", style: "limit", value: number(calls.pace) },
    ],
  });
}

function card(title, value, samples, { label, series, write, entries }) {
  const empty = samples.rows.length < 2;
  return h(
    "section",
    { class: "card", "aria-label": title },
    h("h2", {}, title),
    h("p", { class: "figure" }, value),
    empty ? h("p", { class: "plotted waiting muted small" }, "The plot starts in a few seconds.") : plot({ label, span: samples.span, every: samples.every, series, write }),
    legend(entries),
  );
}
