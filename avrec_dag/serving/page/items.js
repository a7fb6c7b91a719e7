// What is known of items so far, and how one looks in a list.

import { ask, media } from "/page/api.js";
import { clock, el } from "/page/dom.js";
import { named } from "/page/words.js";

const known = new Map();

/** Remember what answers say of items. */
export function learn(items) {
  for (const one of items) known.set(one.media_id, { ...known.get(one.media_id), ...one });
  return items;
}

export const titled = (item) => item.title || item.media_id.split("/").at(-1);

/** What an item is called as far as it was seen, else the end of its id. */
export const titleOf = (id) => titled(known.get(id) || { media_id: id });

/** An item by its id: from what was seen, else from the service. */
export async function find(id) {
  if (!known.has(id)) learn([await ask(media(id))]);
  return known.get(id);
}

/** Its picture, or for a sound a note; says nothing to a screen reader, as the title stands beside it. */
export function still(item) {
  if (item.kind === "audio") return el("span", { class: "still", "aria-hidden": "true" }, "♪");
  return el("img", { class: "still", alt: "", loading: "lazy", src: media(item.media_id, "still"), onerror: (event) => event.target.classList.add("gone") });
}

/** One row of a list: what is under the picture is said once, by the button. */
export function row(item, line, onclick) {
  const facts = [named("kind", item.kind), item.duration_s > 0 ? clock(item.duration_s) : null].filter(Boolean).join(" · ");
  const told = el("span", { class: "told" }, el("b", {}, titled(item)), el("small", {}, facts), line ? el("small", { class: "line" }, line) : null);
  return el("li", { "data-id": item.media_id }, el("button", { type: "button", onclick }, still(item), told));
}
