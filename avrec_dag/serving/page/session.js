// Who asks. Where the service has keys, the page asks for one and hands it over once: from then on a cookie bears it that scripts cannot
// read, pictures and films are asked for with it, and nothing of it stays in this page or in the browser's storage.

import { ask } from "/page/api.js";
import { $ } from "/page/dom.js";
import { say } from "/page/words.js";

/** What the key allows, and the one person it speaks for; null: anybody. */
export const session = { name: "", scopes: [], user_id: null, keyed: false };

export const may = (scope) => session.scopes.includes(scope) || session.scopes.includes("admin");

const begin = async (key) => Object.assign(session, await ask("/v1/session", { method: "POST", headers: key ? { authorization: `Bearer ${key}` } : {} }));

/** Let somebody in: at once where the service is open or the cookie is there, else when a key was given that is good. */
export async function enter() {
  try {
    await begin();
  } catch (error) {
    if (error.status !== 401) throw error;
    await asked();
  }
  session.keyed = session.name !== "anybody on this machine";
  for (const one of document.querySelectorAll("[data-scope]")) one.hidden = !may(one.dataset.scope);
  $("leave").hidden = !session.keyed;
}

function asked() {
  $("door-why").textContent = "";
  $("door").showModal();
  return new Promise((done) => {
    const tried = async (event) => {
      event.preventDefault();
      const key = $("key").value.trim();
      $("key").value = "";
      try {
        await begin(key);
        $("door").removeEventListener("submit", tried);
        $("door").close();
        done();
      } catch (error) {
        $("door-why").textContent = say("failed", error.message);
      }
    };
    $("door").addEventListener("submit", tried);
  });
}

/** Listen to the way out. */
export function wire(guarded) {
  $("door").addEventListener("cancel", (event) => event.preventDefault()); // there is nothing behind it to go back to
  $("leave").addEventListener("click", guarded(async () => {
    await ask("/v1/session", { method: "DELETE" });
    location.reload();
  }));
}
