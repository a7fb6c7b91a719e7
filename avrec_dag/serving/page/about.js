// What the library knows of the item on the stage: its classes, how good it is and why, its moments to jump to; and saying what it is.

import { ask, media, post } from "/page/api.js";
import { $, clock, el, tell } from "/page/dom.js";
import { seekTo, stage } from "/page/stage.js";
import { named, say } from "/page/words.js";

const MOST_MOMENTS = 40;

/** Read it anew and show it; nothing is asked for while the panel is folded. */
export async function show() {
  const item = stage.now;
  if (!item || !$("about").open) return;
  $("about-told").replaceChildren();
  const told = await ask(media(item.media_id));
  if (item !== stage.now) return;
  const parts = [];
  if (told.description) parts.push(el("p", {}, told.description));
  if (told.tags.length) parts.push(el("p", { class: "quiet" }, told.tags.map((one) => `#${one}`).join(" ")));
  if (told.classes.length) parts.push(el("h3", {}, say("about.classes")), el("p", {}, told.classes.filter((one) => one.probability >= 0.01).slice(0, 5).map((one) => `${one.label} ${Math.round(one.probability * 100)} %`).join(" · ")));
  if (told.quality) parts.push(el("h3", {}, say("about.quality", told.quality.score.toFixed(2))), el("p", {}, told.quality.reason));
  const times = told.moments.slice(0, MOST_MOMENTS);
  if (item.kind !== "image" && times.length) parts.push(el("h3", {}, say("about.moments")), el("ul", { class: "moments" }, times.map(moment)));
  $("about-told").replaceChildren(...parts);
  $("classes").replaceChildren(...told.classes.map((one) => el("option", { value: one.label })));
}

function moment(one) {
  const words = one.text || named("moment", one.kind);
  return el("li", {}, el("button", { type: "button", class: "plain", onclick: () => seekTo(one.start_s) }, `${clock(one.start_s)} ${words}`));
}

/** Keep what somebody says the item is; no words: it is of none of the classes. */
export async function label(words) {
  const labels = words.split(/[,，、;；]/).map((one) => one.trim()).filter(Boolean);
  const kept = await post("/v1/labels", { media_id: stage.now.media_id, labels, by: stage.user });
  tell(kept.labels.length ? say("labelled", kept.labels.join(", ")) : say("labelled.none"));
}

/** Listen to the panel. */
export const wire = (guarded) => $("about").addEventListener("toggle", guarded(show));
