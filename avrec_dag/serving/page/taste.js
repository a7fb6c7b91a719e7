// A person's taste as a picture: how much of what they like is of which class, beside what is usual; with the same in words.

import { ask } from "/page/api.js";
import { $, draw, el } from "/page/dom.js";
import { stage } from "/page/stage.js";
import { language, named, say } from "/page/words.js";

const percent = (share) => `${Math.round(share * 100)} %`;

/** Read it anew and show it; nothing is asked for while the panel is folded. */
export async function show() {
  if (!$("taste").open) return;
  const user = stage.user, told = await ask(`/v1/users/${encodeURIComponent(user)}`);
  if (user !== stage.user) return;
  const parts = [el("p", {}, sentences(told))];
  if (told.classes.some((one) => one.share > 0)) parts.push(el("h3", {}, say("taste.classes")), mix(told.classes));
  const refused = told.classes.filter((one) => one.disliked);
  if (refused.length) parts.push(el("p", { class: "quiet" }, say("taste.refused", refused.map((one) => `${one.label} (${one.disliked})`).join(", "))));
  if (told.creators.length) parts.push(el("p", { class: "quiet" }, say("taste.creators", told.creators.map((one) => one.creator).join(", "))));
  $("taste-told").replaceChildren(...parts);
}

/** The service says it in English; in Chinese it is put together from the figures. */
function sentences(told) {
  if (language() !== "zh") return told.text;
  if (!told.met && !told.creators.length) return say("taste.unknown");
  const best = told.classes.filter((one) => one.share > 0).slice(0, 3).map((one) => `${one.label}（${percent(one.share)}）`).join("、");
  return [say("taste.met", told.met, told.liked, told.disliked), best ? say("taste.most", best) : "", told.variety.says === "unknown" ? "" : say("taste.variety", named("variety", told.variety.says))].filter(Boolean).join("");
}

/** Bars of the shares, with a mark where people usually are. */
function mix(classes) {
  const shown = classes.filter((one) => one.share > 0), most = Math.max(...shown.map((one) => Math.max(one.share, one.usual))), unit = 180 / most;
  const rows = shown.map((one, place) => {
    const y = 26 * place, usual = 105 + one.usual * unit;
    return [
      draw("text", { x: 0, y: y + 17 }, one.label.length > 13 ? `${one.label.slice(0, 12)}…` : one.label),
      draw("rect", { x: 105, y: y + 5, width: Math.max(1, one.share * unit), height: 16, rx: 3, class: "for" }),
      draw("line", { x1: usual, x2: usual, y1: y + 2, y2: y + 24, class: "usual" }),
      draw("text", { x: 113 + Math.max(one.share, one.usual) * unit, y: y + 17 }, percent(one.share)),
    ];
  });
  const words = shown.map((one) => say("taste.of", one.label, percent(one.share), percent(one.usual))).join("; ");
  return el("figure", {}, draw("svg", { viewBox: `0 0 340 ${26 * shown.length}`, class: "chart", role: "img", "aria-label": words }, rows), el("figcaption", { class: "quiet" }, say("taste.mark")));
}

/** Listen to the panel. */
export const wire = (guarded) => $("taste").addEventListener("toggle", guarded(show));
