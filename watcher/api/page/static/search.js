// Finds tasks by a part of their key.

import { Refused, json } from "./api.js";
import { h, put } from "./dom.js";
import { clock, counted, keyPath, shortId } from "./format.js";
import { badge } from "./status.js";

const MOST = 50;

export class SearchView {
  constructor(text) {
    this.text = text;
    this.summary = h("p", { class: "muted", role: "status" }, "Searching…");
    this.body = h("div", {});
    this.root = h("article", { class: "found" }, h("p", { class: "small" }, h("a", { href: "#/" }, "← Overview")), h("h1", {}, `Tasks with “${text}” in their id`), this.summary, this.body);
  }

  /** Reads the tasks. If there is only one, opens it. */
  async refresh() {
    let found;
    try {
      found = await json(`v1/tasks?limit=${MOST}&search=${encodeURIComponent(this.text)}`);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      put(this.summary, error.message);
      return;
    }
    if (found.tasks.length === 1 && this.root.isConnected) {
      location.replace(`#/tasks/${keyPath(found.tasks[0].key)}`);
      return;
    }
    put(this.summary, found.tasks.length ? `${counted(found.tasks.length, "task")}${found.next ? ", and more: search for a longer part" : ""}, the newest first.` : "No task has this text in its id. The search is case-sensitive.");
    put(this.body, found.tasks.length ? results(found.tasks) : "");
  }

  note() {}
}

function results(tasks) {
  return h("ul", { class: "results panel" }, tasks.map((task) =>
    h("li", {}, h("a", { href: `#/tasks/${keyPath(task.key)}`, title: task.key }, shortId(task.key)), h("span", { class: "muted small" }, task.kind), badge(task.kind, task.status), h("span", { class: "muted small" }, task.open ? `admitted ${clock(task.admitted_at)}` : `ended ${clock(task.ended_at)}`))));
}
