// English and Chinese by the browser's language, or as the reader chose; `{}` marks where a value goes.

import { memory } from "/page/dom.js";
import { EN } from "/page/english.js";
import { ZH } from "/page/chinese.js";

const CHOSEN = "avrec-language";
const browser = (navigator.languages?.[0] || navigator.language || "en").toLowerCase();
let current = memory.get(CHOSEN) || (browser.startsWith("zh") ? "zh" : "en");

/** The tag of the browser's own language, which lists for newcomers go by. */
export const spoken = /^[a-z]{2,3}([-_]|$)/.test(browser) ? browser : undefined;
export const language = () => current;
export const locale = () => (current === "zh" ? "zh-CN" : "en");

/** A text in the reader's language. */
export function say(key, ...values) {
  let place = 0;
  const text = (current === "zh" ? ZH[key] : EN[key]) ?? EN[key] ?? key;
  return text.replace(/\{\}/g, () => String(values[place++] ?? ""));
}

/** A word of the service, such as a kind or a part of a score, in the reader's language; one that nobody translated stays as it is. */
export const named = (group, word) => {
  const key = `${group}.${word}`;
  const text = say(key);
  return text === key ? String(word).replaceAll("_", " ") : text;
};

/** Put every text of the document in place: data-say is text, data-label an accessible name, data-hint a placeholder. */
export function spell() {
  document.documentElement.lang = locale();
  document.title = say(document.body.dataset.title);
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  for (const node of document.querySelectorAll("[data-hint]")) node.placeholder = say(node.dataset.hint);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", say(node.dataset.label));
}

/** The other language. */
export function turn() {
  current = current === "zh" ? "en" : "zh";
  memory.set(CHOSEN, current);
  spell();
}
