// The top of the page: one sentence that says whether all is well, and if not, what does not work, since when, and what to do.

import { h, put, putIfChanged } from "./dom.js";
import { callsTitle, clock, componentName, counted, duration, percent, since } from "./format.js";

const LATE_S = 60; // as in the alert WatcherBehind

/** What is wrong in an overview: [{name, reason, since, hint, level}], the worst first. */
export function troubles(overview) {
  const bad = overview.components
    .filter((each) => !each.ok)
    .map((each) => ({ ...each, component: each.name, name: `${componentName(each.name)} ${each.name.startsWith("circuit:") ? "is open" : "does not work"}`, reason: each.reason.replace(/^open: /, ""), level: "bad" }));
  const paused = overview.paused.map(({ reason, hint }) => ({ name: "No new tasks are received", reason, hint, level: "bad" }));
  const replicas = overview.replicas.trouble.map((sentence) => ({ name: "Replicas", text: sentence, level: "warn" }));
  const unread = [overview.tasks, overview.replicas]
    .filter((part) => part.unavailable)
    .map((part) => ({ name: "The store cannot be read", reason: part.unavailable, hint: "check the store; polling continues where it can", level: "warn" }));
  return [...bad, ...paused, ...(bad.length ? [] : lateCalls(overview)), ...replicas, ...unread.slice(0, bad.some((each) => each.component === "store") ? 0 : 1)];
}

/** Tasks whose calls are late, although every component works. */
function lateCalls({ calls }) {
  return calls
    .filter((each) => each.lateness_s > LATE_S)
    .map(({ quota, target, title, lateness_s: late, throttled, answered, failed }) => ({
      name: `Calls under the quota ${callsTitle({ quota, target })} are late`,
      reason: `a task has waited ${duration(late)}; ${percent(throttled ? throttled / (throttled + answered + failed) : 0)} of the calls are throttled`,
      hint: `there are more tasks than the call rate allows: raise the quota "${title}", then pace.rate, or find out what else makes such calls`,
      level: "warn",
    }));
}

/** Draws the verdict. `lost` is the time of the last reply, in milliseconds, or null while the watcher replies. */
export function drawVerdict(place, overview, { lost, found = troubles(overview) }) {
  const level = lost ? "bad" : found.some((each) => each.level === "bad") ? "bad" : found.length ? "warn" : "ok";
  place.root.className = `verdict ${level}`;
  say(place.sentence, lost ? `The watcher has not answered since ${clock(lost)}.` : sentence(found));
  put(place.detail, lost ? "The page shows the data of that time, and keeps trying. Check that the process runs, and check its log." : calm(overview, found));
  putIfChanged(place.list, [lost, found, tick()], () => (lost ? [] : found.map(card)));
}

/** The parts of the verdict. */
export function verdictPlace() {
  const sentence = h("h1", { class: "sentence" });
  const announcement = h("div", { role: "status" }, sentence);
  const detail = h("p", { class: "detail" });
  const list = h("ul", { class: "troubles" });
  return { root: h("section", { class: "verdict", "aria-label": "Condition" }, announcement, detail, list), sentence, detail, list };
}

/** The first sentence of the page. */
export function sentence(found) {
  if (!found.length) return "All is well.";
  const [first] = found;
  const others = found.length > 1 ? ` And ${counted(found.length - 1, "more problem")}.` : "";
  if (first.name === "Replicas") return `The replicas need attention.${others}`;
  return `${first.since ? `${failedSince(first.component)} since ${clock(first.since)}` : first.name}.${others}`;
}

/** What is wrong, in words that need no knowledge of the components. */
function failedSince(component) {
  const [type, name, ...rest] = component.split(":");
  const [service, target] = name === "credentials" ? [null, rest[0]] : rest;
  const there = target ? `${service} (${target})` : service;
  if (type === "quota") return `All calls under the quota ${callsTitle({ quota: name, target: service ?? "default" })} have been throttled`;
  if (component === "leases") return "This replica has not renewed its leases";
  if (type !== "circuit") return `${componentName(component)} has not worked`;
  const circuits = {
    credentials: target ? `The credentials of the target ${target} have not been accepted` : "The credentials have not been accepted",
    outage: `${there} has not answered`,
    unreadable: `The replies of ${there} have not been readable`,
    not_found: `No task has been found at ${there}`,
  };
  return circuits[name] ?? `${componentName(component)} has been open`;
}

function calm(overview, found) {
  if (found.length) return "";
  const { tasks, sinks, dead_letters: dead } = overview;
  const waiting = sinks.reduce((sum, sink) => sum + sink.backlog, 0);
  const open = tasks.count === 0 ? "No task is open" : `${counted(tasks.count, "task")} ${tasks.count === 1 ? "is" : "are"} watched`;
  const letters = dead.inputs + dead.events;
  const undecided = letters ? ` ${counted(letters, "dead letter")} ${letters === 1 ? "needs" : "need"} a decision.` : "";
  return `${open}, ${waiting ? `${counted(waiting, "event")} not delivered yet` : "every event is delivered"}.${undecided}`;
}

function card(trouble) {
  return h(
    "li",
    { class: trouble.level },
    h("p", { class: "what" }, h("b", {}, trouble.name), trouble.reason ? [": ", h("code", {}, trouble.reason)] : trouble.text ? `: ${trouble.text}.` : ""),
    trouble.since ? h("p", { class: "when" }, `Since ${clock(trouble.since)}, for ${since(trouble.since)}`) : null,
    trouble.hint ? h("p", { class: "do" }, h("b", {}, "What to do: "), trouble.hint) : null,
  );
}

/** Changes the text only if it differs, because a screen reader announces each change. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A number that changes every ten seconds, so that durations are drawn again. */
function tick() {
  return Math.floor(Date.now() / 10_000);
}

