// The page of one task: its state, its timeline, its next poll and why, and its events that wait. No result, message, or context.

import { Refused, json } from "./api.js";
import { h, put, putIfChanged } from "./dom.js";
import { clock, counted, duration, keyPath, number, shortId, since } from "./format.js";
import { facts } from "./overview.js";
import { badge, sign } from "./status.js";
import { transition } from "./stream.js";
import { change } from "./transitions.js";

const AGAIN = 5000;

export class TaskView {
  #timer = null;
  #asked = 0;

  constructor(key) {
    this.key = key;
    this.body = h("div", {}, h("p", { class: "muted" }, "Reading the task…"));
    this.head = h("header", {}, h("h1", {}, shortId(key)), h("p", { class: "mono whole muted" }, key));
    this.root = h(
      "article",
      { class: "task" },
      h("p", { class: "small" }, h("a", { href: "#/" }, "← Overview")),
      this.head,
      this.body,
    );
  }

  /** Reads the task now, and again while the view is shown. */
  async refresh() {
    clearTimeout(this.#timer);
    const asked = ++this.#asked;
    try {
      const found = known(await json(`v1/tasks/${keyPath(this.key)}`));
      if (asked === this.#asked) putIfChanged(this.body, [found, Math.floor(Date.now() / 10_000)], () => draw(found));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      put(this.body, h("p", { class: "warn" }, error.status === 404 ? "This task is not in the store: it was not submitted, it was erased, or it ended longer ago than watch.retention." : error.message));
    } finally {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.root.isConnected && !document.hidden && this.refresh().catch(() => {}), AGAIN);
    }
  }

  /** Reads the task again if this transition is about it. */
  note(each) {
    if (each.key === this.key) this.refresh().catch(() => {});
  }
}

/** The members of the reply that the page uses. All others, such as results and the context, are removed here. */
function known({ task, next, end, events, not_yet_taken, dead_letters }) {
  const { kind, open, status, status_since, admitted_at, deadline_at, polls, ended_at, last_error } = task ?? {};
  return {
    task: { kind, open, status, status_since, admitted_at, deadline_at, polls, ended_at, last_error },
    end,
    next: next && { why: next.why, open_circuits: next.open_circuits },
    events: events.map(transition),
    undelivered: not_yet_taken,
    deadLetters: dead_letters.map(({ id, what, origin, reason, at, tries }) => ({ id, what, origin, reason, at, tries })),
  };
}

function draw(found) {
  const { task } = found;
  return [
    h("div", { class: "panel state" }, h("p", {}, badge(task.kind, task.status), h("span", { class: "muted" }, task.status_since ? (task.open ? ` for ${since(task.status_since)}, since ${clock(task.status_since)}` : ` at ${clock(task.status_since)}`) : "")), facts(["kind", task.kind], ["admitted", clock(task.admitted_at)], task.open ? ["deadline", clock(task.deadline_at)] : ["ended", clock(task.ended_at)], ["calls", number(task.polls)], ["events", number(found.events.length)])),
    h("div", { class: "columns" }, h("div", { class: "column" }, timeline(found)), h("div", { class: "column" }, next(found), waiting(found))),
  ];
}

function next({ task, next: plan, end }) {
  if (!task.open) return section("end", "Why it is no longer polled", h("p", {}, `The watch ended: ${end}.`));
  const circuits = plan.open_circuits.length ? h("p", { class: "warn" }, sign("failed", `Paused by ${plan.open_circuits.join(", ")}`)) : null;
  return section("next", "Next poll, and why", circuits, h("ul", { class: "why-list" }, plan.why.map((sentence) => h("li", {}, sentence))), h("p", { class: "muted small" }, "As last saved by the watcher, at most 30 s ago."));
}

function waiting({ undelivered, deadLetters }) {
  const sinks = Object.entries(undelivered);
  const sent = sinks.length ? h("ul", {}, sinks.map(([sink, count]) => h("li", {}, `${counted(count, "event")} for the sink ${sink}`))) : h("p", { class: "muted" }, "Every event of this task is settled.");
  const letters = deadLetters.map((each) => h("li", {}, sign("failed", each.reason), ` ${each.origin}, ${clock(each.at)}, ${counted(each.tries, "attempt")}, id `, h("code", {}, each.id.slice(0, 12))));
  return section("waiting", "Not delivered", sent, letters.length ? [h("h3", {}, "Dead letters"), h("ul", {}, letters)] : null);
}

function timeline({ task, events }) {
  let before = task.admitted_at;
  const steps = events.map((each) => {
    const gap = (new Date(each.observedAt) - new Date(before)) / 1000;
    before = each.observedAt;
    return step(each.observedAt, change(task.kind, each), detail(each), gap);
  });
  return section("timeline", "Timeline", h("ol", { class: "timeline" }, step(task.admitted_at, h("span", {}, "Admitted"), "the task is in the store"), steps, task.open ? h("li", { class: "now muted small" }, h("span", {}), h("div", {}, "still watched")) : null));
}

function detail(each) {
  const lag = each.lag === null ? null : `detected after ${duration(each.lag)}`;
  const how = each.observedFrom === "submission" ? "from the message, without a call" : counted(each.polls, "call");
  return [lag, how, each.terminal ? "last event" : null].filter(Boolean).join(", ");
}

function step(at, what, more, gap = null) {
  return h("li", {}, h("time", { datetime: at, title: at }, clock(at)), h("div", {}, h("p", { class: "change" }, what), h("p", { class: "muted small" }, more)), h("span", { class: "muted small gap" }, gap === null ? "" : `+ ${duration(gap)}`));
}

function section(id, title, ...content) {
  return h("section", { class: `panel ${id}`, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title` }, title), content);
}
