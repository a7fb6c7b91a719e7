// Search by typing, and by a picture, a sound or a clip that is chosen or dropped anywhere on the page.

import { answered, asked, MOST_FILE_BYTES } from "/page/api.js";
import { $ } from "/page/dom.js";
import { next, open } from "/page/feed.js";
import { stage } from "/page/stage.js";
import { say } from "/page/words.js";

let file = null;

const query = (k) => ({ k, q: $("words").value.trim(), ...($("mine").checked ? { user: stage.user, taste: 0.6 } : {}) });

/** Search for what stands in the form; with nothing in it, back to the person's own list. */
export function search() {
  const words = query(0).q, sent = file;
  if (!sent && !words) return next();
  if (!sent) return open("found", () => say("found", words), (k) => answered(asked("/v1/search", query(k))));
  const part = $("part").value, headers = { "content-type": /^(image|audio|video)\//.test(sent.type) ? sent.type : "application/octet-stream" };
  return open("found", () => say("found.file", sent.name), (k) => answered(asked("/v1/search", { part, ...query(k) }), { method: "POST", headers, body: sent }));
}

/** Take a file as what to search by. */
export function choose(one) {
  if (one && one.type && !/^(image|audio|video)\//.test(one.type)) throw new Error(say("file.kind", one.name));
  if (one && one.size > MOST_FILE_BYTES) throw new Error(say("file.large", one.name));
  file = one;
  $("chosen").hidden = !one;
  if (!one) { $("file").value = ""; return; }
  $("file-name").textContent = one.name;
  const kind = one.type.split("/")[0];
  $("part").value = { image: "picture", audio: "sound" }[kind] ?? "clip";
  $("part").parentElement.hidden = kind === "image" || kind === "audio";
}

/** Listen to the form, and for files dropped or pasted; `guarded` tells people of what fails. */
export function wire(guarded) {
  const take = (one) => { if (one) { choose(one); return search(); } };
  $("search").addEventListener("submit", guarded(search));
  $("file").addEventListener("change", guarded(() => take($("file").files[0])));
  $("part").addEventListener("change", guarded(search));
  $("mine").addEventListener("change", guarded(() => (file || $("words").value.trim() ? search() : null)));
  $("unfile").addEventListener("click", guarded(() => { choose(null); $("words").focus(); return search(); }));
  let depth = 0;
  const withFile = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => { if (withFile(event)) { depth++; $("drop").hidden = false; } });
  addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); $("drop").hidden = depth === 0; });
  addEventListener("dragover", (event) => { if (withFile(event)) event.preventDefault(); });
  addEventListener("drop", guarded((event) => { depth = 0; $("drop").hidden = true; return take(event.dataTransfer?.files[0]); }));
  addEventListener("paste", (event) => { if (event.clipboardData?.files.length) guarded(() => take(event.clipboardData.files[0]))(event); });
}
