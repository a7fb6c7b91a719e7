// The list beside the stage: what to watch next, what was found, or what is alike; it goes on as one scrolls.

import { ask, asked, similarTo } from "/page/api.js";
import { $, clock } from "/page/dom.js";
import { learn, row, titled } from "/page/items.js";
import { play, stage } from "/page/stage.js";
import { knobs } from "/page/tune.js";
import { say, spoken } from "/page/words.js";
import { sentence } from "/page/why.js";

const A_PAGE = 20, MOST = 100;
export const feed = { kind: "next", heading: () => say("next"), items: [], done: false };
let turn = 0;
let source = forYou;

/** Where a list comes from: `k` items, best first. */
function forYou(k) {
  return ask(asked(`/v1/recommendations/${encodeURIComponent(stage.user)}`, { k, ...knobs(), language: spoken }));
}

/** Show another list; the answer of a list that was left meanwhile is dropped. */
export async function open(kind, heading, from) {
  const mine = ++turn;
  const items = learn(await from(A_PAGE));
  if (mine !== turn) return feed.items;
  source = from;
  Object.assign(feed, { kind, heading, items, done: items.length < A_PAGE });
  show();
  $("count").textContent = say("listed", heading(), items.length);
  return items;
}

/** The person's own list, anew. */
export const next = () => open("next", () => say("next"), forYou);

/** What is like an item. */
export const alike = (item) => open("similar", () => say("found.alike", titled(item)), (k) => ask(asked(similarTo(item.media_id), { k })));

/** More of the same list: a longer one is asked for, and what is there already stays where it is. */
export async function more() {
  const mine = turn, wanted = feed.items.length + A_PAGE;
  if (feed.done || feed.loading) return;
  feed.loading = true;
  try {
    const answer = learn(await source(Math.min(MOST, wanted)));
    if (mine !== turn) return;
    const there = new Set(feed.items.map((one) => one.media_id));
    const fresh = answer.filter((one) => !there.has(one.media_id));
    feed.items = [...feed.items, ...fresh];
    feed.done = !fresh.length || wanted >= MOST;
    add(fresh);
    $("count").textContent = say("listed", feed.heading(), feed.items.length);
  } finally {
    feed.loading = false;
  }
}

const rows = (items) => items.filter((one) => one.media_id !== stage.now?.media_id).map((one) =>
  row(one, [one.moment ? clock(one.moment.start_s) : "", sentence(one)].filter(Boolean).join(" · "), () => { play(one, { focus: true }); show(); }));

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
  add(feed.items);
}
