// Numbers, times, and names as the page writes them. Pure functions.

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** A duration in seconds: "0.42 s", "7 s", "3 min 20 s", "2 h 5 min", "12 d". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const value = Math.max(0, seconds);
  if (value === 0) return "0 s";
  if (value < 0.0995) return `${Math.round(value * 1000)} ms`;
  if (value < 9.95) return `${value.toFixed(value < 0.995 ? 2 : 1)} s`;
  if (value < 59.5) return `${Math.round(value)} s`;
  const whole = Math.round(value);
  const n = UNITS.findIndex(([, size]) => whole >= size);
  const [unit, size] = UNITS[n];
  const [smaller, part] = UNITS[n + 1];
  const count = Math.floor(whole / size);
  const more = count < 10 ? Math.floor((whole - count * size) / part) : 0;
  return more > 0 ? `${count} ${unit} ${more} ${smaller}` : `${count} ${unit}`;
}

/** A rate or another number, rounded to the digits that matter. */
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  if (Number.isInteger(value) || Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

/** A count for a narrow cell: 10,000 and more in thousands or millions. */
export function compact(count) {
  if (count < 10_000) return number(count);
  return count < 999_500 ? `${Math.round(count / 1000)}k` : `${(count / 1e6).toFixed(count < 9.95e6 ? 1 : 0)}M`;
}

/** A share as percent. */
export function percent(share) {
  if (!Number.isFinite(share)) return "–";
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}

/** The time of day; with the date if it is another day. */
export function clock(time, now = new Date()) {
  const at = new Date(time);
  const text = at.toLocaleTimeString("en-GB");
  const day = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return day(at) === day(now) ? text : `${day(at)} ${text}`;
}

/** How long ago something was. */
export function since(time, now = Date.now()) {
  return duration((now - new Date(time).getTime()) / 1000);
}

/** The last part of a key, decoded: the id of the task. */
export function shortId(key) {
  return decoded(key.slice(key.lastIndexOf("/") + 1));
}

/** Escapes a key for a path or a fragment: the escapes in it stay as they are. */
export function keyPath(key) {
  return key.split("/").map(encodeURIComponent).join("/");
}

/** The name of the calls under one quota, as the history has it: the quota, and its target unless that is the default one. */
export function callsName({ quota, target }) {
  return target === "default" ? quota : `${quota}:${target}`;
}

/** The same in words. */
export function callsTitle({ quota, target }) {
  return target === "default" ? quota : `${quota} (${target})`;
}

/** The name of a component in words. */
export function componentName(name) {
  const [type, ...rest] = name.split(":");
  const words = { store: "The store", leases: "The leases", source: "Source", sink: "Sink", quota: "Quota", circuit: "Circuit" };
  const which = rest.length > 1 ? `${rest[0]} (${rest.slice(1).join(":")})` : rest.join(":");
  return [words[type] ?? type, which].filter(Boolean).join(" ");
}

/** A count with its noun. */
export function counted(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** Resolves the escapes of a text. One with invalid escapes stays as it is. */
export function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function two(n) {
  return String(n).padStart(2, "0");
}
