"use strict";
const TEXTS = {
  en: { search: "Search: a cat, drums, 海浪", you: "you are", like: "Like", skip: "Skip", next: "Next for you", found: "Found for “%”", back: "Back to your list",
        none: "Nothing is left to show. Search for something, or upload more.", nothing: "Nothing was found.", liked: "Liked. Your list has changed.", skipped: "Skipped.",
        failed: "That did not work: %", unsent: "it is kept in this browser and sent again.", sound: "sound", image: "picture", video: "video" },
  zh: { search: "搜索：一只猫、打鼓、waves", you: "你是", like: "喜欢", skip: "跳过", next: "为你推荐", found: "“%”的搜索结果", back: "返回推荐列表",
        none: "没有更多内容了。搜索一下，或上传更多视频。", nothing: "没有找到。", liked: "已喜欢，推荐列表已更新。", skipped: "已跳过。",
        failed: "出错了：%", unsent: "已保存在此浏览器中，稍后会重新发送。", sound: "声音", image: "图片", video: "视频" },
};
const $ = (id) => document.getElementById(id);
const memory = { get: (k) => { try { return localStorage.getItem(k); } catch { return null; } }, set: (k, v) => { try { localStorage.setItem(k, v); } catch { /* private window */ } } };
let language = memory.get("avrec-language") || (navigator.language.startsWith("zh") ? "zh" : "en");
let user = memory.get("avrec-user") || `guest-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
let items = [];
let now = null;
let query = "";

const say = (key, value = "") => TEXTS[language][key].replace("%", value);
const at = (id) => `/v1/media/${id.split("/").map(encodeURIComponent).join("/")}`;
const clock = (s) => (s ? `${Math.floor(s / 60)}:${String(Math.round(s % 60)).padStart(2, "0")}` : "");

function tell(text) { $("said").textContent = text; $("said").classList.add("on"); clearTimeout(tell.timer); tell.timer = setTimeout(() => $("said").classList.remove("on"), 3500); }

async function ask(address, options) {
  const answer = await fetch(address, options);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(typeof body.detail === "string" ? body.detail : answer.statusText), { status: answer.status });
  return body;
}

async function send(kind, item, value) {
  const event = { user_id: user, media_id: item.media_id, kind, happened_at: new Date().toISOString() };
  if (value !== undefined) event.value = value;
  await deliver(event);
}

const unsent = () => JSON.parse(memory.get("avrec-unsent") || "[]");
const keep = (events) => memory.set("avrec-unsent", JSON.stringify(events.slice(-500)));

/** What the service cannot keep now stays in this browser and goes with the next attempt; the same event counts once. */
async function deliver(event) {
  const waiting = [...unsent(), ...(event ? [event] : [])];
  let refused = null;
  keep(waiting);
  for (const one of waiting) {
    try {
      await ask("/v1/feedback", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ events: [one] }) });
    } catch (error) {
      if (!error.status || error.status >= 500) throw new Error(say("unsent"));
      refused = error;
    }
    keep(unsent().filter((other) => JSON.stringify(other) !== JSON.stringify(one)));
  }
  if (refused) throw refused;
}
setInterval(() => deliver().catch(() => {}), 10_000);

function words() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  for (const node of document.querySelectorAll("[data-hint]")) node.placeholder = say(node.dataset.hint);
  $("language").textContent = language === "zh" ? "English" : "中文";
  $("heading").textContent = query ? say("found", query) : say("next");
}

function show() {
  words();
  $("back").hidden = !query;
  $("list").replaceChildren(...items.filter((item) => !now || item.media_id !== now.media_id).map((item) => {
    const row = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    const still = document.createElement(item.kind === "audio" ? "span" : "img");
    still.className = "still";
    if (item.kind === "audio") still.textContent = "♪";
    else { still.src = `${at(item.media_id)}/still`; still.alt = ""; still.loading = "lazy"; }
    const text = document.createElement("span");
    const title = document.createElement("b");
    title.textContent = item.title || item.media_id;
    const why = document.createElement("small");
    why.textContent = [clock(item.moment?.start_s), item.reason].filter(Boolean).join(" · ");
    text.append(title, why);
    button.append(still, text);
    button.addEventListener("click", () => play(item));
    row.append(button);
    return row;
  }));
  if (!$("list").children.length) $("list").textContent = say(query ? "nothing" : "none");
}

function play(item, start = true) {
  leave();
  now = item;
  const image = item.kind === "image";
  $("video").hidden = image;
  $("picture").hidden = !image;
  $("player").classList.toggle("sound", item.kind === "audio");
  if (image) { $("video").removeAttribute("src"); $("picture").src = `${at(item.media_id)}/stream`; }
  else { $("video").src = `${at(item.media_id)}/stream${item.moment ? `#t=${item.moment.start_s}` : ""}`; if (start) $("video").play().catch(() => {}); }
  $("title").textContent = item.title || item.media_id;
  $("facts").textContent = [...item.labels, clock(item.duration_s), item.media_id].filter(Boolean).join(" · ");
  $("why").textContent = item.reason;
  $("like").classList.remove("done");
  show();
}

/** What was seen of the item that is left is worth an event: a share of its length. */
function leave() {
  const video = $("video");
  if (!now || !video.src || !(video.currentTime > 0.5) || !video.duration || now.told) return;
  now.told = true;
  send("watch", now, Math.min(1, video.currentTime / video.duration)).catch(() => {});
}

async function refresh(start) {
  query = "";
  items = await ask(`/v1/recommendations/${encodeURIComponent(user)}?k=20`);
  if (!now && items.length) play(items[0], start); else show();
}

const guarded = (work) => async (event) => { event?.preventDefault?.(); try { await work(); } catch (error) { tell(say("failed", error.message)); } };

$("like").addEventListener("click", guarded(async () => {
  if (!now) return;
  await send("like", now);
  $("like").classList.add("done");
  await refresh();
  tell(say("liked"));
}));
async function onward(kind) {
  if (!now) return;
  const gone = now;
  if (kind) { await send(kind, gone); gone.told = true; tell(say("skipped")); } else leave();
  items = await ask(`/v1/recommendations/${encodeURIComponent(user)}?k=20`);
  query = "";
  const following = items.find((item) => item.media_id !== gone.media_id);
  now = null;
  if (following) play(following); else show();
}
$("skip").addEventListener("click", guarded(() => onward("skip")));
$("video").addEventListener("ended", guarded(() => onward(null)));
$("search").addEventListener("submit", guarded(async () => {
  query = $("words").value.trim();
  if (!query) return refresh();
  items = await ask(`/v1/search?k=20&q=${encodeURIComponent(query)}`);
  show();
}));
$("back").addEventListener("click", guarded(() => refresh()));
$("who").addEventListener("change", guarded(async () => {
  user = $("who").value.trim() || user;
  memory.set("avrec-user", user);
  now = null;
  await refresh(false);
}));
$("language").addEventListener("click", () => { language = language === "zh" ? "en" : "zh"; memory.set("avrec-language", language); show(); });

memory.set("avrec-user", user);
$("who").value = user;
words();
guarded(() => refresh(false))();
