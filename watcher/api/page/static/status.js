// Draws a status: a sign and a color by its class, and its name. Color is never the only difference.

import { h } from "./dom.js";

const SIGNS = { open: "○", running: "◐", provisional: "◒", succeeded: "✓", failed: "✕", ended: "■", unknown: "?" };

/** The classes of the statuses, from the overview: {kind: {status: class}}. */
export const kinds = { known: {} };

/** A status of a kind as an element. null: no poll has seen the task yet. */
export function badge(kind, status) {
  if (status === null || status === undefined) return sign("unknown", "not seen yet");
  return sign(look(kind, status), status);
}

/** The end of a watch whose task did not end. */
export function ended(reason) {
  return sign("ended", `watch ended: ${reason}`);
}

/** A sign with a text. */
export function sign(name, text) {
  return h("span", { class: `status ${name}` }, h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[name]), text);
}

/** Whether something works, as an element. */
export function works(ok, text = ok ? "works" : "does not work") {
  return sign(ok ? "succeeded" : "failed", text);
}

function look(kind, status) {
  const statuses = kinds.known[kind] ?? {};
  const found = statuses[status];
  if (found === "open") return Object.keys(statuses).indexOf(status) > 0 ? "running" : "open";
  return found ?? "unknown";
}
