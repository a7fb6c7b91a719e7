// The page for those who run a library: read-only; every part is asked for by itself, so that one that fails leaves the others.

import { ask, media } from "/page/api.js";
import { bars, figures, histogram, stacked, table } from "/page/charts.js";
import { $, clock, el, tell } from "/page/dom.js";
import { enter, wire } from "/page/session.js";
import { locale, named, say, spell, turn } from "/page/words.js";

const when = (text) => (text ? new Date(text).toLocaleString(locale(), { dateStyle: "medium", timeStyle: "short" }) : "–");
const ago = (text) => {
  if (!text) return "–";
  const minutes = Math.round((Date.parse(text) - Date.now()) / 60_000), relative = new Intl.RelativeTimeFormat(locale());
  return Math.abs(minutes) < 90 ? relative.format(minutes, "minute") : Math.abs(minutes) < 2880 ? relative.format(Math.round(minutes / 60), "hour") : relative.format(Math.round(minutes / 1440), "day");
};
const opened = (id, words) => el("a", { href: `/?item=${encodeURIComponent(id)}` }, words || id.split("/").at(-1));
const rounded = (value) => Number(value.toFixed(3));
const share = (part, all) => `${all ? Math.round((100 * part) / all) : 0} %`;

const PARTS = {
  library(told) {
    const kinds = ["video", "audio", "image"].map((one) => [one, named("kind", one)]);
    return [
      figures([[say("n.items"), told.n_items], [say("n.length"), clock(told.duration_s)], [say("n.people"), told.n_people], [say("n.events"), told.n_events], [say("n.warned"), told.n_warned], [say("n.failed"), told.n_failed]]),
      told.days.length ? stacked(say("by.day"), told.days.map((one) => [one.day, { ...one, bad: one.failed }]), [...kinds, ["bad", say("unreadable")]]) : null,
      told.failures.length ? table(say("failures"), [say("item"), say("day"), say("why.failed")], told.failures.map((one) => [one.media_id, one.day, one.error])) : el("p", { class: "quiet" }, say("no.failures")),
    ];
  },
  classes(told) {
    const all = told.reduce((sum, one) => sum + one.items, 0);
    return [told.length ? el("div", { class: "pair" },
      bars(say("by.class"), told.map((one) => [one.name, one.items, `${one.items} (${share(one.items, all)})`])),
      table(say("classes"), [say("class"), say("n.items"), say("by.classifier"), say("surest")], told.map((one) => [one.name, one.items, one.classified, opened(one.surest)]))) : el("p", {}, say("nothing.yet"))];
  },
  quality(told) {
    const all = told.histogram.reduce((sum, one) => sum + one, 0);
    const words = (counts) => say("quality.told", all, counts.slice(0, 10).reduce((sum, one) => sum + one, 0));
    return [
      el("div", { class: "pair" }, histogram(say("quality.whole"), told.histogram, words(told.histogram)), histogram(say("quality.technical"), told.technical, words(told.technical))),
      el("div", { class: "pair" },
        told.defects.length ? bars(say("defects"), told.defects.map(([name, count]) => [name.replaceAll("_", " "), count, `${count} (${share(count, all)})`])) : null,
        table(say("worst"), [say("item"), say("score"), say("why.failed")], told.worst.map((one) => [opened(one.media_id), rounded(one.score), one.reasons.join("; ")]))),
    ];
  },
  duplicates(told) {
    const kinds = Object.entries(told.by_kind).map(([kind, count]) => `${count} ${named("copy", kind)}`).join(", ");
    return [
      el("p", {}, told.n_groups ? say("copies.told", told.n_groups, told.n_items, kinds) : say("copies.none")),
      ...told.largest.map((members) => el("ol", { class: "copies" }, members.map((one) => el("li", {},
        one.still ? el("img", { src: media(one.media_id, "still"), alt: "", loading: "lazy" }) : null,
        el("b", {}, opened(one.media_id, one.title)), `${named("copy", one.kind)} · ${rounded(one.similarity)}`, el("br"), one.evidence)))),
    ];
  },
  moderation(told) {
    return [
      figures([...Object.entries(told.decided).map(([name, count]) => [named("decided", name), count]), [say("by.people"), told.by_people]]),
      told.queue.length ? table(say("queue"), [say("item"), say("decision"), say("score"), say("reports"), say("why.failed")],
        told.queue.map((one) => [one.media_id, named("decided", one.decision), one.score === null ? "–" : rounded(one.score), one.reports, one.reason])) : el("p", { class: "quiet" }, say("queue.none")),
      el("p", { class: "quiet" }, say("queue.how")),
    ];
  },
  models(told) {
    return [
      table(say("serving"), [say("model"), say("version"), say("trained"), say("examples"), say("run")], told.serving.map((one) => [one.name, one.version.slice(0, 12) || say("unused"), when(one.trained_at), one.n_examples ?? "–", one.run_id.slice(0, 8)])),
      ...told.leaderboards.map(leaderboard),
      told.decisions.length ? table(say("decisions"), [say("at"), say("adopted"), say("why.failed")], told.decisions.map((one) => [one.decided_at, say(one.adopted ? "yes" : "no"), one.reason])) : null,
    ];
  },
  freshness(told) {
    const { lately: n = 0, ...delays } = told.delay;
    return [
      el("p", {}, n ? say("delay.told", n, clock(delays.p50_s), clock(delays.p90_s), clock(delays.p99_s)) : say("delay.none")),
      el("div", { class: "pair" },
        table(say("tables"), [say("table"), say("rows"), say("failed.rows"), say("newest")], told.tables.map((one) => [one.name, one.ok, one.failed ? el("span", { class: "bad" }, String(one.failed)) : 0, ago(one.newest_at)])),
        table(say("health"), [say("promise"), say("value"), say("kept"), say("meaning")], told.health.map((one) => [one.metric.replaceAll("_", " "), rounded(one.value), one.passed ? say("yes") : el("b", { class: "bad" }, say("no")), one.detail]))),
    ];
  },
};

/** Models against each other: a picture of the first figure with its interval in words, and all figures in a table. */
function leaderboard(board) {
  const models = Object.entries(board.models), metrics = [...new Set(models.flatMap(([, values]) => Object.keys(values)))];
  const shown = metrics.filter((one) => !/_(low|high)$/.test(one));
  const interval = (values, one) => (`${one}_low` in values ? ` (${rounded(values[`${one}_low`])}–${rounded(values[`${one}_high`])})` : "");
  const first = shown[0], about = Object.entries(board.about).map(([name, value]) => `${name.replaceAll("_", " ")}: ${value}`).join(" · ");
  const ranked = models.filter(([, values]) => first in values).sort((one, other) => other[1][first] - one[1][first]);
  return el("div", {}, el("h3", {}, `${named("board", board.name)} · ${board.evaluated_at}`), el("p", { class: "quiet" }, about),
    ranked.length ? bars(first, ranked.map(([name, values]) => [name, values[first], `${rounded(values[first])}${interval(values, first)}`]), 1) : null,
    table(say("all.figures"), [say("model"), ...shown], models.map(([name, values]) => [name, ...shown.map((one) => (one in values ? rounded(values[one]) : "–"))])));
}

async function part(name, asked) {
  const section = el("section", { id: name, "aria-labelledby": `${name}-head`, "aria-busy": "true" }, el("h2", { id: `${name}-head` }, say(`part.of.${name}`)));
  $("main").append(section);
  try { section.append(...PARTS[name](await asked).filter(Boolean)); } catch (error) { section.append(el("p", { class: "bad" }, say("failed", error.message))); }
  section.setAttribute("aria-busy", "false");
}

let answers = {};

async function show() {
  spell();
  $("parts").replaceChildren(...Object.keys(PARTS).map((name) => el("a", { href: `#${name}` }, say(`part.of.${name}`))));
  $("main").replaceChildren();
  await Promise.all(Object.keys(PARTS).map((name) => part(name, answers[name])));
  $("at").textContent = say("looked", new Date().toLocaleTimeString(locale()));
}

async function look() {
  answers = Object.fromEntries(Object.keys(PARTS).map((name) => [name, ask(`/v1/operator/${name}`)]));
  for (const one of Object.values(answers)) one.catch(() => {}); // each part tells of its own
  await show();
}

$("again").addEventListener("click", async () => { await look(); tell(say("looked.again")); });
$("language").addEventListener("click", () => { turn(); show(); });
const guarded = (work) => () => work().catch((error) => tell(say("failed", error.message)));
wire(guarded);
spell();
guarded(async () => { await enter(); await look(); })();
