// What people do, on its way to the service. An event is written to this browser's storage under an id made here before it is sent, and is
// taken out when the service has acknowledged it: a lost answer, a closed tab or a service that is away costs nothing, and an
// event that arrives twice counts once, by its id. Every event has a key of its own, so that tabs do not overwrite one another's.

import { post } from "/page/api.js";
import { memory, random } from "/page/dom.js";
import { may } from "/page/session.js";
import { say } from "/page/words.js";

const PREFIX = "avrec-event-", MOST_WAITING = 1000, MOST_AT_ONCE = 200, AGAIN_MS = 10_000, BEACON_BYTES = 60_000;
let here = new Map(); // for a browser that stores nothing
let sending = Promise.resolve();

function waiting() {
  const keys = memory.keys().filter((key) => key.startsWith(PREFIX));
  const kept = keys.map((key) => { try { return JSON.parse(memory.get(key)); } catch { memory.drop(key); return null; } }).filter(Boolean);
  const all = new Map([...kept, ...here.values()].map((one) => [one.event_id, one]));
  return [...all.values()].sort((one, other) => one.happened_at.localeCompare(other.happened_at));
}

/** What was merely shown goes first where there is no room for everything. */
const byWorth = (events) => [...events.filter((one) => one.kind === "impression"), ...events.filter((one) => one.kind !== "impression")];

const forget = (event) => { memory.drop(PREFIX + event.event_id); here.delete(event.event_id); };

function keep(user, kind, mediaId, facts) {
  const event = { user_id: user, media_id: mediaId, kind, happened_at: new Date().toISOString(), event_id: `web-${random(12)}`, ...facts };
  memory.set(PREFIX + event.event_id, JSON.stringify(event));
  here.set(event.event_id, event);
  for (const old of byWorth(waiting()).slice(0, -MOST_WAITING)) forget(old);
  return event;
}

/** Keep an event without waiting for the service; nothing is told where the key does not allow it. */
export function note(user, kind, mediaId, facts = {}) {
  if (!may("feedback")) return;
  keep(user, kind, mediaId, facts);
  flush().catch(() => {});
}

/** Keep an event that can wait: it goes with whatever is sent next, after some seconds, or on leaving. */
export function later(user, kind, mediaId, facts = {}) {
  if (may("feedback")) keep(user, kind, mediaId, facts);
}

/** Keep an event, done when the service has it: what is asked for next knows it. */
export async function send(user, kind, mediaId, facts = {}) {
  const { event_id } = keep(user, kind, mediaId, facts);
  const refused = await flush();
  if (refused.has(event_id)) throw refused.get(event_id);
}

/** Send all that waits, one request at a time; the events the service refused, with its reason. */
export function flush() {
  sending = sending.catch(() => {}).then(deliver);
  return sending;
}

async function deliver() {
  const refused = new Map(), events = waiting();
  for (let at = 0; at < events.length; at += MOST_AT_ONCE) await attempt(events.slice(at, at + MOST_AT_ONCE), refused);
  return refused;
}

async function attempt(events, refused) {
  try {
    const { refused: bad = [] } = await post("/v1/feedback", { events });
    for (const one of bad) refused.set(events[one.index].event_id, new Error(one.why));
    events.forEach(forget);
  } catch (error) {
    const again = !error.status || error.status >= 500 || [401, 403, 408, 429].includes(error.status);
    if (again) throw Object.assign(new Error(say("unsent", error.message)), { status: error.status });
    if (events.length === 1) { refused.set(events[0].event_id, error); forget(events[0]); }
    else for (const one of events) await attempt([one], refused); // one bad event costs only itself
  }
}

/** On leaving: a beacon outlives the tab; what it carried stays here until an answer says that it was kept. */
export function depart() {
  const events = [];
  let bytes = 0;
  for (const one of byWorth(waiting()).slice(-MOST_AT_ONCE).reverse()) {
    bytes += new Blob([JSON.stringify(one)]).size + 1;
    if (bytes < BEACON_BYTES) events.push(one);
  }
  if (events.length) navigator.sendBeacon("/v1/feedback", new Blob([JSON.stringify({ events })], { type: "application/json" }));
}

setInterval(() => { if (waiting().length) flush().catch(() => {}); }, AGAIN_MS);
addEventListener("online", () => flush().catch(() => {}));
