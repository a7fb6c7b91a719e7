// "Why this": the reason in the reader's language, what counts for and against an item as a picture with its numbers, and the items behind it.

import { $, draw, el } from "/page/dom.js";
import { find, row, titleOf } from "/page/items.js";
import { language, named, say } from "/page/words.js";

/** One line of why an item stands in a list. The service says it in English; in Chinese it is put together from the reason's parts. */
export function sentence(item) {
  if (language() !== "zh" || !item.why) return item.reason || "";
  const { part, because, label, words, missing } = item.why;
  const whom = (item.causes || []).map((one) => `“${titleOf(one)}”`).join("和");
  const about = {
    behaviour: whom ? `喜欢${whom}的人也喜欢它` : "与你不喜欢的不同", content: whom ? `内容与你喜欢的${whom}相似` : "与你不喜欢的不同",
    popularity: "很多人喜欢它", quality: "制作精良", none: "换换口味",
  }[part] ?? named("part", part);
  const place = { variety: "换换口味：", new: "新内容，看过的人还不多；", mix: missing ? `为了你喜欢的类别（${missing}）：` : "为了你喜欢的类别组合：" }[because] ?? "";
  return [place + about + (label ? `（都属于 ${label}）` : ""), words?.length ? `共同的词：${words.join("、")}` : ""].filter(Boolean).join("；");
}

const causesOf = async (item) => (await Promise.all((item.causes || []).map((id) => find(id).catch(() => ({ media_id: id }))))).filter(Boolean);

/** Show it for the item on the stage. */
export async function explain(item, play) {
  const causes = await causesOf(item);
  $("reason").textContent = sentence(item);
  const shares = Object.entries(item.why?.shares || {}).sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]));
  const told = [];
  if (shares.length) told.push(el("h3", {}, say("why.shares")), scales(shares));
  if (causes.length) told.push(el("h3", {}, say("why.causes")), el("ol", { class: "rows" }, causes.map((one) => row(one, "", () => play(one)))));
  const versions = Object.entries(item.versions || {});
  if (versions.length) told.push(el("p", { class: "quiet" }, say("why.versions", versions.map(([part, version]) => `${part.replaceAll("_", " ")} ${version.slice(0, 8)}`).join(" · "))));
  $("why-told").replaceChildren(...(told.length ? told : [el("p", {}, item.reason || say("why.none"))]));
}

/** Bars from a middle line: to the right what speaks for the item, to the left what speaks against it. */
function scales(shares) {
  const height = 26 * shares.length, middle = 215, unit = 80;
  const rows = shares.map(([part, share], place) => {
    const width = Math.max(1, Math.abs(share) * unit), y = 26 * place;
    return [
      draw("text", { x: 0, y: y + 17 }, named("part", part)),
      draw("rect", { x: share < 0 ? middle - width : middle, y: y + 5, width, height: 16, rx: 3, class: share < 0 ? "against" : "for" }),
      draw("text", { x: share < 0 ? middle + 6 : middle + width + 6, y: y + 17 }, `${share < 0 ? "−" : ""}${Math.round(Math.abs(share) * 100)} %`),
    ];
  });
  const line = draw("line", { x1: middle, x2: middle, y1: 0, y2: height, class: "axis" });
  const words = shares.map(([part, share]) => `${named("part", part)} ${say(share < 0 ? "why.against" : "why.for")}, ${say("why.of", `${Math.round(Math.abs(share) * 100)} %`)}`);
  return draw("svg", { viewBox: `0 0 345 ${height}`, class: "chart", role: "img", "aria-label": words.join("; ") }, line, rows);
}
