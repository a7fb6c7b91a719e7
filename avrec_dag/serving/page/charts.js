// Drawings with their numbers: every one has a text alternative that says what a sighted reader takes from it.

import { draw, el } from "/page/dom.js";

/** Units across: a drawing is as wide as its column, and its letters stay readable on a phone. */
const across = () => (matchMedia("(max-width: 44rem)").matches ? 340 : 600);
const short = (name, most) => (name.length > most ? `${name.slice(0, most - 1)}…` : name);

const figure = (title, drawing, ...more) => el("figure", {}, el("figcaption", {}, title), drawing, ...more);
const picture = (width, height, words, ...parts) => draw("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": words }, ...parts);

/** Columns side by side, each of stacked parts: `columns` are [name, {part: number}], `parts` are [part, its words]. */
export function stacked(title, columns, parts) {
  const width = across(), height = 170, base = 140, step = width / Math.max(columns.length, 6), wide = Math.min(step * 0.7, 70);
  const most = Math.max(1, ...columns.map(([, counts]) => parts.reduce((sum, [part]) => sum + counts[part], 0)));
  const every = Math.ceil(Math.max(columns.length, 6) / (width / 85));
  const drawn = columns.map(([name, counts], place) => {
    let top = base;
    const blocks = parts.filter(([part]) => counts[part]).map(([part]) => {
      const tall = (counts[part] / most) * (base - 20);
      top -= tall;
      return draw("rect", { x: place * step, y: top, width: wide, height: tall, class: `bar ${part}` });
    });
    const sum = parts.reduce((total, [part]) => total + counts[part], 0);
    return [blocks, draw("text", { x: place * step, y: top - 4, class: "faint" }, String(sum)),
      place % every === 0 ? draw("text", { x: place * step, y: base + 18 }, name) : null];
  });
  const words = columns.map(([name, counts]) => `${name}: ${parts.filter(([part]) => counts[part]).map(([part, word]) => `${counts[part]} ${word}`).join(", ")}`).join("; ");
  const used = parts.filter(([part]) => columns.some(([, counts]) => counts[part]));
  const legend = el("ul", { class: "legend", "aria-hidden": "true" }, used.map(([part, word]) =>
    el("li", {}, draw("svg", { viewBox: "0 0 10 10", class: "chart" }, draw("rect", { width: 10, height: 10, class: `bar ${part}` })), word)));
  return figure(title, picture(width, height, `${title}. ${words}`, drawn, draw("line", { x1: 0, x2: width, y1: base, y2: base, class: "axis" })), legend);
}

/** Bars from left to right: `rows` are [name, number, what is said of it]. */
export function bars(title, rows, most = Math.max(...rows.map(([, number]) => number), 1e-9)) {
  const width = across(), height = rows.length * 26, from = width * 0.28, unit = (width * 0.46) / most;
  const drawn = rows.map(([name, number, told], place) => [
    draw("text", { x: 0, y: place * 26 + 17 }, short(name, Math.floor(from / 7))),
    draw("rect", { x: from, y: place * 26 + 5, width: Math.max(1, number * unit), height: 16, rx: 3, class: "bar" }),
    draw("text", { x: from + 6 + Math.max(1, number * unit), y: place * 26 + 17 }, told),
  ]);
  return figure(title, picture(width, height, `${title}. ${rows.map(([name, , told]) => `${name}: ${told}`).join("; ")}`, drawn));
}

/** How many lie in each equal part of [0, 1]. */
export function histogram(title, counts, words) {
  const width = across(), most = Math.max(1, ...counts), step = width / counts.length, base = 120;
  const drawn = counts.map((count, place) => draw("rect", { x: place * step + 1, y: base - (count / most) * 100, width: step - 2, height: (count / most) * 100, class: "bar" }));
  const marks = [0, 0.25, 0.5, 0.75, 1].map((at) => draw("text", { x: at * width, y: base + 18, "text-anchor": at === 0 ? "start" : at === 1 ? "end" : "middle" }, String(at)));
  return figure(title, picture(width, 142, `${title}. ${words}`, drawn, draw("line", { x1: 0, x2: width, y1: base, y2: base, class: "axis" }), marks));
}

/** A table with a caption; numbers are right-aligned, the first column heads its row. Cells may be nodes. */
export function table(caption, heads, rows) {
  const cell = (value, place) => (place === 0 ? el("th", { scope: "row" }, value ?? "") : el("td", { class: typeof value === "number" ? "number" : null }, value instanceof Node ? value : String(value ?? "")));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, el("table", {}, el("caption", {}, caption),
    el("thead", {}, el("tr", {}, heads.map((one, place) => el("th", { scope: "col", class: place && typeof rows[0]?.[place] === "number" ? "number" : null }, one)))), el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell))))));
}

export const figures = (pairs) => el("dl", { class: "figures" }, pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value)))));
