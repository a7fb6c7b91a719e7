// What of the person's own list was seen: half of it in the window for a second, as the MRC counts a viewable impression (Viewable Ad
// Impression Measurement Guidelines, 2014). What is merely further down was not shown to anybody.

import { later } from "/page/events.js";
import { stage } from "/page/stage.js";

const SHARE = 0.5, SEEN_MS = 1000;
const items = new Map(), waiting = new Map(), told = new Set();
const observer = new IntersectionObserver((changes) => changes.forEach(look), { threshold: SHARE });

function look({ target, isIntersecting }) {
  clearTimeout(waiting.get(target));
  if (isIntersecting) waiting.set(target, setTimeout(tell, SEEN_MS, items.get(target), stage.user));
}

/** Once for a place of a list: the id of the event names both, so that the service knows one that comes again. */
function tell({ media_id, shown }, user) {
  const event_id = `seen-${shown.list}-${shown.place}`;
  if (told.has(event_id) || document.visibilityState === "hidden") return;
  told.add(event_id);
  later(user, "impression", media_id, { event_id });
}

/** Tell when an element that shows an item of the person's list is seen; the element. */
export function when(element, item) {
  if (item?.shown) {
    items.set(element, item);
    observer.observe(element);
  }
  return element;
}

/** Another list is drawn. */
export function anew() {
  observer.disconnect();
  waiting.forEach(clearTimeout);
  for (const one of [waiting, items]) one.clear();
}
