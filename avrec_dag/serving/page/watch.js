// The page for those who watch: puts its parts together.

import { $, calm, el, memory, random, tell } from "/page/dom.js";
import { depart, send } from "/page/events.js";
import * as feed from "/page/feed.js";
import * as about from "/page/about.js";
import { find } from "/page/items.js";
import { enter, session, wire as wireSession } from "/page/session.js";
import * as seek from "/page/seek.js";
import * as stage from "/page/stage.js";
import * as taste from "/page/taste.js";
import * as tune from "/page/tune.js";
import { say, spell, turn } from "/page/words.js";

const USER = "avrec-user", PEOPLE = "avrec-people", MOST_PEOPLE = 10;
const now = () => stage.stage.now;
const failed = (error) => tell(say("failed", error.message));

/** A handler that says what went wrong instead of failing silently. */
const guarded = (work) => async (event) => {
  event?.preventDefault?.();
  try { await work(event); } catch (error) { failed(error); }
};

/** Go on: in the person's own list with its new first, in any other with what follows there. A list that somebody waits for comes first. */
async function onward({ start = true } = {}) {
  const gone = now(), { feed: list } = feed;
  stage.leave();
  if (list.kind === "next" && !feed.opening()) await feed.next();
  const place = list.items.findIndex((one) => one.media_id === gone?.media_id);
  const following = list.kind === "next" ? list.items.find((one) => one.media_id !== gone?.media_id) : list.items[place + 1];
  if (following) stage.play(following, { start }); else if (list.kind === "next") stage.empty();
  feed.show();
}

/** The end of an item leads on, but takes nothing away from somebody who is still writing about it. */
function ended() {
  const listed = feed.feed.kind === "next" || feed.feed.items.some((one) => one.media_id === now()?.media_id);
  return listed && !document.querySelector("#stage form:not([hidden]), dialog[open]") ? onward({ start: !calm() }) : null;
}

/** What the person says of the item; the list that follows knows it. */
async function opinion(kind, told, facts = {}) {
  await send(stage.stage.user, kind, now().media_id, facts);
  if (kind === "like" || kind === "dislike") {
    for (const one of ["like", "dislike"]) document.querySelector(`[data-act=${one}]`).setAttribute("aria-pressed", String(one === kind));
    await Promise.all([feed.next(), taste.show()]);
  } else {
    stage.stage.told = true; // said already, and clearer than by how long it was watched
    await onward();
  }
  tell(say(told));
}

/** A report is asked about once more, as other people act on it; nothing plays on behind the question. */
async function report() {
  const dialog = $("report"), closed = new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  $("report-text").value = dialog.returnValue = "";
  $("video").pause();
  dialog.showModal();
  await closed;
  const text = $("report-text").value.trim();
  if (dialog.returnValue === "report") await opinion("report", "reported", text ? { text } : {});
}

async function share() {
  const link = stage.linkTo(now());
  await send(stage.stage.user, "share", now().media_id);
  try { await navigator.clipboard.writeText(link); tell(say("shared")); } catch { tell(say("shared.only", link)); }
}

function unfold(id, button) {
  $(id).hidden = !$(id).hidden;
  button.setAttribute("aria-expanded", String(!$(id).hidden));
  if (!$(id).hidden) $(id).querySelector("textarea, input").focus();
}

async function comment() {
  const text = $("comment-text").value.trim();
  if (!text) throw new Error(say("comment.empty"));
  await send(stage.stage.user, "comment", now().media_id, { text });
  $("comment-text").value = "";
  unfold("comment", document.querySelector("[data-act=comment]"));
  document.querySelector("[data-act=comment]").focus();
  tell(say("commented"));
}

async function label() {
  await about.label($("label-text").value);
  $("label-text").value = "";
  unfold("label", document.querySelector("[data-act=label]"));
  document.querySelector("[data-act=label]").focus();
}

const ACTS = {
  like: () => opinion("like", "liked"), dislike: () => opinion("dislike", "disliked"), not_interested: () => opinion("not_interested", "not_interested.done"),
  skip: () => opinion("skip", "skipped"), similar: async () => { await feed.alike(now()); $("heading").focus(); }, share,
  report, comment: (button) => unfold("comment", button), label: (button) => unfold("label", button),
};

/** Whoever watches now: their name stays in this browser alone, to be chosen again. */
async function become(user) {
  stage.leave();
  stage.stage.user = user;
  stage.stage.now = null;
  memory.set(USER, user);
  const people = [user, ...JSON.parse(memory.get(PEOPLE) || "[]").filter((one) => one !== user)].slice(0, MOST_PEOPLE);
  memory.set(PEOPLE, JSON.stringify(people));
  $("people").replaceChildren(...people.map((one) => el("option", { value: one })));
  $("who").value = user;
  await Promise.all([first(), taste.show()]);
}

/** The item that the address names, else the first of the list, ready to be played. */
async function first() {
  const named = new URLSearchParams(location.search).get("item");
  const [item] = await Promise.all([named ? find(named).catch(failed) : null, feed.next()]);
  const shown = item || feed.feed.items[0];
  if (shown) stage.play(shown, { start: false }); else stage.empty();
  feed.show();
}

const guest = () => `guest-${random(4)}`;

function wire() {
  for (const button of document.querySelectorAll("[data-act]")) button.addEventListener("click", guarded(() => now() && ACTS[button.dataset.act](button)));
  $("comment").addEventListener("submit", guarded(comment));
  $("who").addEventListener("change", guarded(async () => { const user = $("who").value.trim(); if (user && user !== stage.stage.user) { await become(user); tell(say("person.now", user)); } }));
  $("newcomer").addEventListener("click", guarded(async () => { const user = guest(); await become(user); tell(say("person.now", user)); }));
  $("back").addEventListener("click", guarded(async () => { seek.choose(null); $("words").value = ""; await feed.next(); $("heading").focus(); }));
  $("more").addEventListener("click", guarded(feed.more));
  $("language").addEventListener("click", () => { turn(); tune.spellKnobs(); stage.describe(); feed.show(); taste.show().catch(failed); });
  new IntersectionObserver(guarded((seen) => seen.some((one) => one.isIntersecting) && feed.more()), { rootMargin: "300px" }).observe($("more"));
  $("picture").addEventListener("error", () => { $("picture").hidden = true; });
  stage.wire(guarded(ended), tell);
  about.wire(guarded);
  $("label").addEventListener("submit", guarded(label));
  taste.wire(guarded);
  tune.wire(guarded(feed.next));
  seek.wire(guarded);
  wireSession(guarded);
  addEventListener("pagehide", () => { stage.leave(); depart(); });
  addEventListener("pageshow", (event) => { if (event.persisted) stage.returned(); });
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") depart(); });
}

wire();
spell();
tune.spellKnobs();
guarded(async () => {
  await enter();
  $("who").disabled = $("newcomer").disabled = session.user_id !== null;
  await become(session.user_id ?? memory.get(USER) ?? guest());
})();
