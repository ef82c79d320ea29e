// The live list of transitions. It does not change while the pointer or the focus is in it, so that a link can be clicked.

import { h, put } from "./dom.js";
import { clock, duration, keyPath, number, shortId } from "./format.js";
import { badge, ended } from "./status.js";

const SHOWN = 14;
const KEPT = 200;
const DRAW_EVERY = 400; // milliseconds, so that hundreds of transitions per second are drawn together

export class Transitions {
  list = h("ol", { class: "live", "aria-label": "The newest transitions first" });
  note = h("p", { class: "muted small" });
  #waiting = [];
  #timer = null;
  #seen = 0;
  #since = new Date();

  constructor() {
    this.root = h("section", { class: "panel transitions", "aria-labelledby": "live-title" }, h("h2", { id: "live-title" }, "Live transitions"), this.list, this.note);
    this.root.addEventListener("pointerleave", () => this.#draw());
    this.root.addEventListener("focusout", () => setTimeout(() => this.#draw()));
    this.#draw();
  }

  add(transition) {
    this.#seen += 1;
    this.#waiting.push(transition);
    this.#waiting.splice(0, this.#waiting.length - KEPT);
    this.#timer ??= setTimeout(() => this.#draw(), DRAW_EVERY);
  }

  gap() {
    this.list.prepend(h("li", { class: "gap muted" }, "Some transitions are missing here, because the page was disconnected for too long."));
  }

  #draw() {
    this.#timer = null;
    if (this.root.isConnected && this.root.matches(":hover, :focus-within") && this.list.childElementCount >= SHOWN) {
      const held = this.#waiting.length;
      put(this.note, held ? `${held >= KEPT ? `${KEPT} or more` : number(held)} newer; shown when you leave this list.` : "");
      return;
    }
    this.list.prepend(...this.#waiting.splice(0).slice(-SHOWN).reverse().map(row));
    while (this.list.childElementCount > SHOWN) this.list.lastElementChild.remove();
    put(this.note, this.#seen ? `${number(this.#seen)} since ${clock(this.#since)}` : `No transition since ${clock(this.#since)}. Transitions appear here when they are detected.`);
  }
}

function row(each) {
  const kind = each.key.split("/")[0];
  return h(
    "li",
    {},
    h("time", { datetime: each.observedAt, title: each.observedAt }, clock(each.observedAt)),
    h("a", { href: `#/tasks/${keyPath(each.key)}`, title: each.key }, shortId(each.key)),
    h("span", { class: "change" }, change(kind, each)),
    h("span", { class: "lag", title: "Time from the change to its detection" }, each.lag === null ? "" : duration(each.lag)),
  );
}

/** What a transition changed, as elements. */
export function change(kind, each) {
  if (each.type === "watcher.watch.ended.v1") return ended(each.reason);
  if (each.type === "watcher.task.updated.v1") return [badge(kind, each.to), h("span", { class: "muted" }, each.terminal ? "is final" : "has a new result")];
  const skipped = each.skipped.length ? h("span", { class: "skipped muted", title: "Statuses that no poll saw" }, `skipped ${each.skipped.join(", ")}`) : null;
  return [each.from ? [h("span", { class: "from" }, each.from), h("span", { class: "arrow", "aria-label": "to" }, "→")] : null, badge(kind, each.to), skipped];
}
