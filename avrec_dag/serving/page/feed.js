// The list beside the stage: what to watch next, what was found, or what is alike; it goes on as one scrolls.

import { answered, asked, similarTo } from "/page/api.js";
import { $, clock, random } from "/page/dom.js";
import { learn, row, titled } from "/page/items.js";
import * as seen from "/page/seen.js";
import { LEAST_JUMP_S, play, stage } from "/page/stage.js";
import { knobs } from "/page/tune.js";
import { say, spoken } from "/page/words.js";
import { sentence } from "/page/why.js";

const A_PAGE = 20, MOST = 100;
export const feed = { kind: "next", heading: () => say("next"), items: [], done: false };
let turn = 0, turned = 0;

/** Whether a list was asked for that is not there yet. */
export const opening = () => turned !== turn;

let source = forYou;

/** Where a list comes from: `k` items, best first; a cursor says where the list that was shown so far goes on. An experiment names its lists. */
async function forYou(k, cursor) {
  const answer = await answered(asked(`/v1/recommendations/${encodeURIComponent(stage.user)}`, { k, ...knobs(), language: spoken, cursor }));
  return { ...answer, list: answer.headers.get("Avrec-Impression") ?? random(16) };
}

/** What an answer holds: items, where it goes on, which versions made it, and at which place of which list each stands. */
function read({ body, headers, list }) {
  const made = headers.get("Avrec-Versions");
  const { runs, ...versions } = made ? JSON.parse(made) : {};
  return { items: learn(body.map((one, place) => ({ ...one, versions, shown: list && { list, place } }))), cursor: headers.get("Avrec-Cursor") };
}

/** Show another list; the answer of a list that was left meanwhile is dropped. */
export async function open(kind, heading, from) {
  const mine = ++turn;
  let answer;
  try { answer = await from(A_PAGE); } finally { if (mine === turn) turned = turn; }
  const { items, cursor } = read(answer);
  if (mine !== turn) return feed.items;
  source = from;
  Object.assign(feed, { kind, heading, items, cursor, done: items.length < A_PAGE });
  show();
  $("count").textContent = say("listed", heading(), items.length);
  return items;
}

/** The person's own list, anew. */
export const next = () => open("next", () => say("next"), forYou);

/** What is like an item. */
export const alike = (item) => open("similar", () => say("found.alike", titled(item)), (k) => answered(asked(similarTo(item.media_id), { k })));

/** What comes after what is shown: by the cursor, or, where the list has none, out of a longer list from its beginning. */
async function following() {
  if (!feed.cursor) return { ...read(await source(Math.min(MOST, feed.items.length + A_PAGE))), last: feed.items.length + A_PAGE >= MOST };
  try {
    const answer = read(await source(A_PAGE, feed.cursor));
    return { ...answer, last: !answer.cursor };
  } catch (error) {
    if (error.status !== 410) throw error; // too old: the list goes on as one without a cursor
    feed.cursor = null;
    return following();
  }
}

/** More of the same list; what is there already stays where it is. */
export async function more() {
  const mine = turn;
  if (feed.done || feed.loading) return;
  feed.loading = true;
  try {
    const { items, cursor, last } = await following();
    if (mine !== turn) return;
    const there = new Set(feed.items.map((one) => one.media_id));
    const fresh = items.filter((one) => !there.has(one.media_id));
    Object.assign(feed, { items: [...feed.items, ...fresh], cursor, done: last || !fresh.length });
    add(fresh);
    $("count").textContent = say("listed", feed.heading(), feed.items.length);
  } finally {
    feed.loading = false;
  }
}

const rows = (items) => items.filter((one) => one.media_id !== stage.now?.media_id).map((one) => seen.when(
  row(one, [one.moment?.start_s >= LEAST_JUMP_S ? clock(one.moment.start_s) : "", sentence(one)].filter(Boolean).join(" · "), () => { play(one, { focus: true }); show(); }), one));

function add(items) {
  $("list").append(...rows(items));
  $("more").hidden = feed.done;
  $("end").hidden = !feed.done;
  $("end").textContent = $("list").children.length ? say("end") : say(feed.kind === "next" ? "none" : "nothing");
}

/** Draw the list, in the reader's language and without what plays. */
export function show() {
  $("heading").textContent = feed.heading();
  $("back").hidden = feed.kind === "next";
  $("tune").hidden = feed.kind !== "next";
  $("list").replaceChildren();
  seen.anew();
  seen.when($("player"), stage.now);
  add(feed.items);
}
