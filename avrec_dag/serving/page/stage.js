// What plays, and what is told of how it was watched.

import { asked, media } from "/page/api.js";
import { $, calm, clock, el } from "/page/dom.js";
import { note } from "/page/events.js";
import { titled } from "/page/items.js";
import { locale, named, say, spoken } from "/page/words.js";
import { show as about } from "/page/about.js";
import { explain } from "/page/why.js";

const LEAST_SEEN_S = 0.5;
/** A moment nearer to the beginning is the beginning. */
export const LEAST_JUMP_S = 0.5;
export const stage = { user: "", now: null, started: false, told: false, seenBefore: 0 };
const video = () => $("video");

/** Put an item on the stage; `start` begins to play it, at its moment where it has one. */
export function play(item, { start = true, focus = false } = {}) {
  leave();
  Object.assign(stage, { now: item, started: false, told: false, seenBefore: 0 });
  $("player").className = item.kind || "";
  const image = item.kind === "image";
  video().hidden = image;
  $("picture").hidden = !image;
  if (image) picture(item, start); else moving(item, start);
  for (const one of document.querySelectorAll("#acts [aria-pressed]")) one.setAttribute("aria-pressed", "false");
  describe();
  if (focus) {
    $("title").focus({ preventScroll: true });
    $("stage").scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" });
  }
}

/** An image is seen when it is there; nothing of it can be watched to the end. */
function picture(item, start) {
  video().removeAttribute("src");
  video().replaceChildren();
  video().load();
  behind(media(item.media_id, "stream"), titled(item));
  if (start) began();
}

function moving(item, start) {
  const player = video(), at = item.moment?.start_s ?? 0;
  player.replaceChildren(el("track", { kind: "captions", src: media(item.media_id, "captions"), srclang: spoken?.slice(0, 2) ?? locale(), label: say("captions"), default: true }));
  if (item.kind === "audio") behind(media(item.media_id, "spectrogram"), say("spectrogram"));
  if (item.kind === "audio") player.removeAttribute("poster"); else player.poster = media(item.media_id, "still");
  player.src = media(item.media_id, "stream") + (at ? `#t=${at}` : "");
  if (start) player.play().catch(() => {}); // a browser may want a click first
}

/** A picture behind what has none of its own; one that is not there leaves the ground. */
function behind(address, words) {
  $("picture").src = address;
  $("picture").alt = words;
  $("picture").hidden = false;
}

/** Nothing to show. */
export function empty() {
  leave();
  stage.now = null;
  video().removeAttribute("src");
  video().removeAttribute("poster");
  video().load();
  for (const id of ["title", "facts", "reason"]) $(id).textContent = "";
}

/** The words under the player, in the reader's language. */
export function describe() {
  const item = stage.now;
  for (const one of document.querySelectorAll("#acts button")) one.disabled = !item;
  $("jump").hidden = !(item?.moment?.start_s >= LEAST_JUMP_S);
  if (!item) return;
  $("title").textContent = titled(item);
  const facts = [named("kind", item.kind || "video"), item.duration_s > 0 ? clock(item.duration_s) : "", ...(item.labels || []), item.media_id];
  $("facts").textContent = facts.filter(Boolean).join(" · ");
  if (!$("jump").hidden) $("jump").textContent = say("jump", clock(item.moment.start_s));
  about().catch(() => {}); // it says so when it is opened
  explain(item, (one) => play(one, { focus: true }));
}

function began() {
  if (stage.started || !stage.now) return;
  stage.started = true;
  note(stage.user, "play", stage.now.media_id);
}

/** Seconds of the item that were seen, those seen twice counted once. */
function seen() {
  const ranges = video().played;
  let total = 0;
  for (let one = 0; one < ranges.length; one++) total += ranges.end(one) - ranges.start(one);
  return total;
}

/** What was seen of the item that is left is worth an event: a share of its length. */
export function leave() {
  const player = video(), item = stage.now, fresh = seen() - stage.seenBefore;
  if (!item || stage.told || !(fresh > LEAST_SEEN_S) || !(player.duration > 0) || player.duration === Infinity) return;
  stage.told = true;
  note(stage.user, "watch", item.media_id, { value: Math.min(1, Math.round((seen() / player.duration) * 1000) / 1000) });
}

/** What is seen from here on is another viewing: the tab came back from where tabs are put aside. */
export function returned() {
  Object.assign(stage, { told: false, seenBefore: seen() });
}

/** Play from a second on. */
export function seekTo(second) {
  video().currentTime = second;
  video().play().catch(() => {});
}

/** The address that opens this item. */
export const linkTo = (item) => asked(`${location.origin}/`, { item: item.media_id });

/** A film whose picture this browser cannot decode plays its sound over its still. */
function heardOnly(failed) {
  if (stage.now?.kind !== "video" || video().videoWidth) return;
  behind(media(stage.now.media_id, "still"), "");
  failed(say("sound.only"));
}

/** Listen to the player. */
export function wire(ended, failed) {
  video().addEventListener("loadeddata", () => heardOnly(failed));
  video().addEventListener("playing", began);
  video().addEventListener("ended", ended);
  video().addEventListener("error", () => { if (video().getAttribute("src")) failed(say("unplayable")); });
  $("jump").addEventListener("click", () => seekTo(stage.now.moment.start_s));
}
