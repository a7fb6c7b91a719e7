// Sliders that say what counts in a list. One that was not moved is left to the library.

import { $, el } from "/page/dom.js";
import { say } from "/page/words.js";

const NAMES = ["relevance", "quality", "diversity"], SOON_MS = 120;
const moved = new Map();
let timer;

/** What the request says: only what was moved. */
export const knobs = () => Object.fromEntries(moved);

function told(name) {
  $(`${name}-told`).textContent = moved.has(name) ? `${Math.round(moved.get(name) * 100)} %` : say("tune.default");
}

/** Draw the sliders; `changed` is called when one has come to rest for a moment, while it is still held. */
export function wire(changed) {
  const sliders = NAMES.map((name) => el("p", { class: "slider" },
    el("label", { for: name, "data-say": `tune.${name}` }), el("input", { id: name, type: "range", min: 0, max: 1, step: 0.05, value: 0.5, "aria-describedby": `${name}-told`,
      oninput: (event) => { moved.set(name, Number(event.target.value)); told(name); clearTimeout(timer); timer = setTimeout(changed, SOON_MS); } }), el("output", { id: `${name}-told`, for: name })));
  $("knobs").replaceChildren(...sliders);
  $("untuned").addEventListener("click", () => {
    moved.clear();
    for (const name of NAMES) { $(name).value = 0.5; told(name); }
    changed();
  });
}

export const spellKnobs = () => NAMES.forEach(told);
