// The page: shows the view that the fragment names, requests the overview every two seconds, and follows the events.

import { Refused, Unauthorized, json, keepToken, token } from "./api.js";
import { h, put } from "./dom.js";
import { clock, decoded, since } from "./format.js";
import { OverviewView } from "./overview.js";
import { Samples } from "./samples.js";
import { SearchView } from "./search.js";
import { kinds } from "./status.js";
import { follow } from "./stream.js";
import { TaskView } from "./task.js";
import { Transitions } from "./transitions.js";
import { troubles } from "./verdict.js";

const EVERY = 2000;
const LOST_AFTER = 2; // failed requests in a row until the page says that the watcher does not answer

const at = (id) => document.getElementById(id);
const samples = new Samples();
const transitions = new Transitions();
const overviewView = new OverviewView(transitions);
let view = null; // a TaskView or a SearchView; null: the overview
let overview = null;
let answeredAt = null;
let failures = 0;
let refusal = null; // the error that the watcher returns instead of an overview
let timer = null;
let wasLive = false;

const stream = follow(
  (transition) => {
    transitions.add(transition);
    view?.note(transition);
  },
  showConnection,
  () => transitions.gap(),
);

async function poll() {
  clearTimeout(timer);
  timer = null;
  try {
    const found = await json(`v1/overview?since=${samples.since}`);
    if (failures) comeBack();
    overview = found;
    kinds.known = found.kinds;
    samples.add(found.history);
    [answeredAt, failures] = [Date.now(), 0];
    askForToken(false);
    draw();
  } catch (error) {
    if (error instanceof Unauthorized) {
      askForToken(true, error.message);
      return;
    }
    refusal = error instanceof Refused ? error.message : null;
    failures += 1;
    draw();
  }
  if (!document.hidden) timer = setTimeout(poll, EVERY);
}

/** The watcher answers again: reconnect now, without the rest of the wait. */
function comeBack() {
  stream.soon();
  view?.refresh().catch(failed);
}

function draw() {
  if (!overview) {
    if (failures >= LOST_AFTER) put(at("view"), h("p", { class: "note bad" }, refusal ?? "The watcher does not answer. The page keeps trying."));
    return;
  }
  if (at("view").firstChild !== (view ?? overviewView).root) put(at("view"), (view ?? overviewView).root);
  overviewView.draw(overview, samples, failures >= LOST_AFTER ? answeredAt : null);
  const problems = failures >= LOST_AFTER ? 1 : troubles(overview).length;
  document.title = `${problems ? `(${problems}) ` : ""}${view ? `${view.key ?? view.text} – ` : ""}Watcher`;
  put(at("about"), `Version ${overview.version}, up ${since(overview.started_at)}. As of ${clock(overview.at)}.`);
}

function route() {
  const [, name, rest] = /^#\/(tasks|search)\/(.+)$/.exec(location.hash) ?? [];
  if (!name && location.hash && location.hash !== "#/") return; // for example, the skip link
  const text = rest && decoded(rest);
  view = name === "tasks" ? new TaskView(text) : name === "search" ? new SearchView(text) : null;
  put(at("view"), view?.root ?? (overview ? overviewView.root : h("p", { class: "muted" }, "Reading the state of the watcher…")));
  scrollTo(0, 0);
  draw();
  view?.refresh().catch(failed);
}

function failed(error) {
  if (error instanceof Unauthorized) askForToken(true, error.message);
  else put(at("view"), h("p", { class: "note bad" }, "The watcher does not answer. The page keeps trying."));
}

function askForToken(wanted, reason = "") {
  const shown = !at("token").hidden;
  at("token").hidden = !wanted;
  at("view").hidden = wanted;
  at("token-error").textContent = wanted && (token() || !/Bearer/.test(reason)) ? reason : "";
  if (wanted && !shown) at("token-text").focus();
}

function showConnection(state) {
  wasLive ||= state === "live";
  const texts = {
    live: ["live", "● Live"],
    connecting: ["waiting", wasLive ? "◌ Reconnecting" : "◌ Connecting"],
    waiting: ["waiting", "◌ Reconnecting"],
    token: ["waiting", "◌ Needs a token"],
    paused: ["waiting", "◌ Paused"],
  };
  const [style, text] = texts[state];
  at("connection").className = `pill ${style}`;
  if (at("connection").textContent !== text) at("connection").textContent = text; // a screen reader announces each change
}

function begin() {
  stream.start();
  poll();
}

at("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(at("token-text").value.trim());
  at("token-text").value = "";
  begin();
  view?.refresh().catch(failed);
});
at("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("search-text").value.trim();
  if (text) location.hash = `#/search/${text.split("/").map(encodeURIComponent).join("/")}`;
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  at("main").focus();
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    at("search-text").focus();
  }
  if (event.key === "Escape" && event.target === at("search-text")) at("main").focus();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
  } else {
    poll();
    view?.refresh().catch(failed);
  }
});
addEventListener("hashchange", route);
route();
begin();
