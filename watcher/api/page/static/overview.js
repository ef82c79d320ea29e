// The overview: condition, plots, open tasks by status and age, live transitions, sinks, pace, replicas, and components.

import { h, putIfChanged } from "./dom.js";
import { callsName, callsTitle, compact, componentName, counted, duration, number, percent, since } from "./format.js";
import { callsCard, cards } from "./cards.js";
import { plot } from "./plots.js";
import { badge, sign, works } from "./status.js";
import { drawVerdict, verdictPlace } from "./verdict.js";

const WORTH_A_PLOT = 20;

export class OverviewView {
  #verdict = verdictPlace();
  #plots = h("div", { class: "cards" });
  #tasks = panel("tasks", "Open tasks by status and age");
  #sinks = panel("sinks", "Sinks");
  #pace = panel("pace", "Pace of the calls");
  #replicas = panel("replicas", "Replicas");
  #components = panel("components", "Components and circuits");

  constructor(transitions) {
    const columns = h(
      "div",
      { class: "columns" },
      h("div", { class: "column" }, this.#tasks.root, this.#pace.root, this.#components.root),
      h("div", { class: "column" }, transitions.root, this.#sinks.root, this.#replicas.root),
    );
    this.root = h("div", { class: "overview" }, this.#verdict.root, this.#plots, columns);
  }

  draw(overview, samples, lost) {
    drawVerdict(this.#verdict, overview, { lost });
    putIfChanged(this.#plots, [samples.since, overview.calls.map((each) => each.open > 0), overview.tasks.count], () => [
      ...cards(overview, samples),
      ...busyQuotas(overview, samples).map((calls) => callsCard(calls, samples)),
    ]);
    putIfChanged(this.#tasks.body, overview.tasks, () => drawTasks(overview));
    putIfChanged(this.#sinks.body, [overview.sinks, overview.dead_letters, samples.since], () => drawSinks(overview, samples, ofThisReplica(overview)));
    putIfChanged(this.#pace.body, [overview.calls, overview.replicas.shared], () => [ofThisReplica(overview), overview.calls.map(drawCalls)]);
    putIfChanged(this.#replicas.body, overview.replicas, () => drawReplicas(overview.replicas));
    putIfChanged(this.#components.body, [overview.components, overview.paused], () => drawComponents(overview));
  }
}

/** The quotas with tasks or recent calls; the first one if there is none. */
function busyQuotas(overview, samples) {
  const made = (found) => found && found.answered + found.throttled + found.failed > 0;
  const called = (calls) => samples.rows.some((row) => made(row.quotas[callsName(calls)]));
  const busy = overview.calls.filter((each) => each.open > 0 || called(each));
  return busy.length ? busy : overview.calls.slice(0, 1);
}

function panel(id, title) {
  const body = h("div", { class: "body" });
  return { root: h("section", { class: `panel ${id}`, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title` }, title), body), body };
}

function drawTasks({ tasks, kinds }) {
  if (tasks.unavailable) return unavailable(tasks.unavailable);
  if (tasks.count === 0) return h("p", { class: "empty muted" }, "No task is open. Tasks appear here when a source or POST /v1/tasks names them.");
  const most = Math.max(...tasks.groups.map((group) => group.count));
  const bare = (age) => (tasks.groups.some((group) => group.upto_s === age) ? "" : "bare");
  const present = [...new Set(tasks.groups.map((group) => group.kind))].sort();
  return h(
    "table",
    { class: "matrix" },
    h("caption", { class: "hidden" }, "The number of open tasks by status, and by the time since the status changed"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "For up to"), tasks.ages.map((age, n) => h("th", { scope: "col", class: `n ${bare(age)}` }, ageName(tasks.ages, n))), h("th", { scope: "col", class: "n" }, "all"))),
    present.map((kind) => drawKind(kind, kinds[kind] ?? {}, tasks, { most, bare })),
  );
}

function drawKind(kind, statuses, tasks, { most, bare }) {
  const groups = tasks.groups.filter((group) => group.kind === kind);
  const order = [null, ...Object.keys(statuses)];
  const found = [...new Set(groups.map((group) => group.status))].sort((a, b) => place(order, a) - place(order, b));
  const count = (status, age) => sum(groups.filter((group) => group.status === status && (age === undefined || group.upto_s === age)));
  return h(
    "tbody",
    {},
    h("tr", { class: "kind" }, h("th", { scope: "rowgroup", colspan: tasks.ages.length + 2 }, kind)),
    found.map((status) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, badge(kind, status)),
        tasks.ages.map((age) => {
          const n = count(status, age);
          return h("td", { class: n ? "n heat" : `n none ${bare(age)}`, title: n ? number(n) : null, "--level": n ? 0.12 + 0.5 * Math.sqrt(n / most) : 0 }, n ? compact(n) : "·");
        }),
        h("td", { class: "n all", title: number(count(status)) }, compact(count(status))),
      ),
    ),
  );
}

function place(order, status) {
  const n = order.indexOf(status);
  return n < 0 ? order.length : n;
}

function ageName(ages, n) {
  return ages[n] === null ? "longer" : duration(ages[n]);
}

function sum(groups) {
  return groups.reduce((total, group) => total + group.count, 0);
}

function drawSinks({ sinks, dead_letters: dead, components }, samples, note) {
  const of = (name) => components.find((each) => each.name === `sink:${name}`);
  const rows = sinks.map((sink) =>
    h(
      "li",
      {},
      h("p", { class: "title" }, h("b", {}, sink.name), works(sink.ok)),
      sink.ok ? null : h("p", { class: "why" }, of(sink.name)?.reason ?? ""),
      facts(["waiting", number(sink.backlog), sink.backlog > 0 && !sink.ok], ["oldest", sink.oldest_s === null ? "–" : duration(sink.oldest_s)], ["delivered", number(sink.delivered)]),
      backlogPlot(sink, samples),
    ),
  );
  const all = dead.inputs + dead.events;
  const letters = all
    ? h("p", { class: "letters" }, sign("failed", counted(all, "dead letter")), ` ${number(dead.inputs)} of inputs, ${number(dead.events)} of events, limit ${number(dead.limit)} each. To list them, run `, h("code", {}, "watcher dead-letters list"), ".")
    : h("p", { class: "letters muted" }, "No dead letters.");
  return [note, h("ul", { class: "blocks" }, rows), letters];
}

/** On a shared store, the calls and deliveries are only those of the replica that replies. */
function ofThisReplica({ replicas }) {
  return replicas.shared ? h("p", { class: "muted small" }, "Only of this replica, as are the plots above.") : null;
}

/** The plot of the backlog of a sink, if it was more than a few events. */
function backlogPlot(sink, samples) {
  const points = samples.points((row) => row.backlog[sink.name] ?? null);
  const most = Math.max(0, ...points.map(([, value]) => value));
  if (most < WORTH_A_PLOT) return null;
  const label = `Events that wait for the sink ${sink.name}: ${number(sink.backlog)} now, at most ${number(most)}.`;
  return plot({ label, span: samples.span, every: samples.every, series: [{ name: "waiting", points, style: sink.ok ? "first" : "failed", area: true }], write: number });
}

function drawCalls(calls) {
  const all = calls.answered + calls.throttled + calls.failed;
  return h(
    "div",
    { class: "block" },
    h("p", { class: "title" }, h("b", {}, callsTitle(calls)), h("span", { class: "muted small" }, calls.configured === null ? "rate found by the watcher" : `at most ${number(calls.configured)}/s configured`)),
    facts(
      ["allowed", `${number(calls.pace)}/s`],
      ["made", `${number(all)}/s`],
      ["throttled", all ? percent(calls.throttled / all) : "–", all > 0 && calls.throttled / all > 0.1],
      ["failed", all ? percent(calls.failed / all) : "–", all > 0 && calls.failed / all > 0.05],
      ["open tasks", number(calls.open)],
      ["in flight", number(calls.in_flight)],
      ["price", duration(calls.price_s)],
      ["overdue", duration(calls.lateness_s)],
    ),
  );
}

function drawReplicas(replicas) {
  if (!replicas.shared) return h("p", { class: "muted" }, "One process owns this store and all of its tasks.");
  if (replicas.unavailable) return unavailable(replicas.unavailable);
  const owned = `${counted(replicas.shards - replicas.unowned, "shard")} of ${number(replicas.shards)} have an owner.`;
  return [
    h("p", { class: replicas.unowned ? "warn" : "muted" }, owned),
    h("ul", { class: "blocks" }, replicas.replicas.map(drawReplica)),
  ];
}

function drawReplica(replica) {
  const watches = Object.values(replica.quotas).reduce((total, use) => total + use.watches, 0);
  const rate = Object.values(replica.quotas).reduce((total, use) => total + (use.watches ? use.rate : 0), 0);
  return h(
    "li",
    {},
    h("p", { class: "title" }, h("b", {}, replica.name), h("span", { class: "muted small" }, `${replica.version}, up ${since(replica.started_at)}`)),
    facts(["shards", number(replica.shards)], ["tasks", number(watches)], ["allowed", `${number(rate)}/s`], ["renewed", `${duration(Math.round(replica.renewed_s_ago))} ago`], ["which shards", replica.shard_ranges.join(", ") || "–", false, "long"]),
  );
}

function drawComponents({ components, paused }) {
  const rows = [...components].sort((a, b) => a.ok - b.ok).map((each) =>
    h(
      "li",
      { class: each.ok ? "" : "failing" },
      works(each.ok, componentName(each.name)),
      h("span", { class: "muted small reason" }, each.reason),
      each.hint ? h("span", { class: "hint small" }, each.hint) : null,
    ),
  );
  const intake = h(
    "li",
    { class: paused.length ? "failing" : "" },
    works(!paused.length, "Intake"),
    h("span", { class: "muted small reason" }, paused.length ? `paused: ${paused.map((each) => each.reason).join(", ")}` : "receives"),
    paused.map((each) => h("span", { class: "hint small" }, each.hint)),
  );
  return h("ul", { class: "components-list" }, paused.length ? intake : null, rows, paused.length ? null : intake);
}

/** Facts as a list of names and values: [name, value, highlighted, style]. */
export function facts(...entries) {
  return h("dl", { class: "facts" }, entries.map(([name, value, striking, style = null]) => h("div", { class: style }, h("dt", {}, name), h("dd", { class: striking ? "striking" : null }, value))));
}

function unavailable(reason) {
  return h("p", { class: "warn" }, sign("failed", "Not available: "), reason);
}

