// Small plots as SVG: lines and stacked areas. The label of each plot describes it in words.

import { h, put, svg } from "./dom.js";
import { clock, duration } from "./format.js";

const WIDTH = 300;
const HEIGHT = 72;
const GAP = 4; // the number of samples that may be missing within a line

/**
 * A plot. `series` are {name, points, style, area}, the name for the values under the pointer: points are [seconds, value], the class of a line is its style.
 * Areas are stacked in their order. `write` writes a value of the axis.
 */
export function plot({ label, span, every, series, write, least = 0 }) {
  const stacked = stack(series);
  const top = niceTop(Math.max(least, highest(stacked)));
  const [start, end] = span;
  const x = (at) => round(((at - start) / Math.max(1, end - start)) * WIDTH);
  const y = (value) => round(HEIGHT - (Math.min(value, top) / top) * (HEIGHT - 2) - 1);
  const shapes = stacked.flatMap((each) => draw(each, x, y, every * GAP));
  const axis = h("p", { class: "axis", "aria-hidden": "true" });
  const ends = () => put(axis, h("span", {}, `${duration(Math.round((end - start) / 60) * 60)} ago`), h("span", {}, "now"));
  ends();
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label, class: "plot" },
    svg("rect", { width: WIDTH, height: HEIGHT, class: "back" }),
    svg("line", { x1: 0, x2: WIDTH, y1: y(top), y2: y(top), class: "grid" }),
    svg("line", { x1: 0, x2: WIDTH, y1: y(top / 2), y2: y(top / 2), class: "grid" }),
    svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5, class: "base" }),
    shapes,
  );
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const values = valuesAt(start + ((event.clientX - box.left) / box.width) * (end - start), series, write, every * GAP);
    if (values) put(axis, values);
    else ends();
  });
  drawing.addEventListener("pointerleave", ends);
  return h(
    "div",
    { class: "plotted" },
    h("p", { class: "axis top-value", "aria-hidden": "true" }, write(top)),
    drawing,
    axis,
  );
}

/** The values at the time under the pointer: "18:58:20: mean 0.4 s". Empty where there are none. */
function valuesAt(at, series, write, near) {
  const found = series.map(({ name, points }) => [name, nearest(points, at)]).filter(([, point]) => point && Math.abs(point[0] - at) <= near);
  if (!found.length) return "";
  return `${clock(found[0][1][0] * 1000)}: ${found.map(([name, [, value]]) => `${name} ${write(value)}`).join(", ")}`;
}

function nearest(points, at) {
  return points.reduce((best, point) => (!best || Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best), null);
}

/** The legend of a plot: [{name, style, value}]. */
export function legend(entries) {
  return h(
    "ul",
    { class: "legend" },
    entries.map(({ name, style, value }) =>
      h("li", {}, h("span", { class: `key ${style}`, "aria-hidden": "true" }), `${name} `, h("b", {}, value)),
    ),
  );
}

function stack(series) {
  const sums = new Map();
  return series.map(({ points, style, area }) => {
    if (!area) return { upper: points, style };
    const lower = points.map(([at]) => [at, sums.get(at) ?? 0]);
    const upper = points.map(([at, value]) => [at, (sums.get(at) ?? 0) + value]);
    upper.forEach(([at, value]) => sums.set(at, value));
    return { upper, lower, style };
  });
}

function draw({ upper, lower, style }, x, y, gap) {
  return runs(upper, gap).map(([from, to]) => {
    const line = upper.slice(from, to).map(([at, value]) => `${x(at)},${y(value)}`);
    if (lower) {
      const back = lower.slice(from, to).reverse().map(([at, value]) => `${x(at)},${y(value)}`);
      return svg("polygon", { points: [...line, ...back].join(" "), class: style });
    }
    if (to - from === 1) {
      const [at, value] = upper[from];
      return svg("line", { x1: x(at) - 1, x2: x(at) + 1, y1: y(value), y2: y(value), class: style });
    }
    return svg("polyline", { points: line.join(" "), class: style });
  });
}

/** The highest value to show. A limit far above the other values is drawn at the upper edge, so that these stay visible. */
function highest(stacked) {
  const most = (chosen) => Math.max(0, ...chosen.flatMap(({ upper }) => upper.map(([, value]) => value)));
  const limits = most(stacked.filter(({ style }) => style === "limit"));
  const others = most(stacked.filter(({ style }) => style !== "limit"));
  return others > 0 ? Math.max(others, Math.min(limits, 2 * others)) : limits;
}

/** The parts of a line without a long gap, as [from, to). */
function runs(points, gap) {
  const found = [];
  let from = 0;
  for (let n = 1; n <= points.length; n++) {
    if (n === points.length || points[n][0] - points[n - 1][0] > gap) {
      found.push([from, n]);
      from = n;
    }
  }
  return points.length ? found : [];
}

/** The next number above with one digit: 1, 2, 5, 10 and so on. */
function niceTop(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 5, 10].map((n) => n * power).find((n) => n >= value * 1.02) ?? 20 * power;
}

function round(value) {
  return Math.round(value * 10) / 10;
}
