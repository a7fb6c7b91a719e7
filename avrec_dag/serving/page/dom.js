// Building blocks of the page. Whatever comes from outside (titles, tags, comments, errors) passes `el` as text or as the value of an
// attribute, never as markup: no innerHTML anywhere, and the page works under `script-src 'self'; style-src 'self'` without exceptions.

export const $ = (id) => document.getElementById(id);

/** An element with attributes, listeners (`onclick`) and children; children that are null or false are left out, strings become text. */
export function el(name, facts = {}, ...inside) {
  return fill(document.createElement(name), facts, inside);
}

const SVG = "http:/" + "/www.w3.org/2000/svg"; // a name, not an address: nothing is fetched from it

/** The same for a part of a drawing. */
export function draw(name, facts = {}, ...inside) {
  return fill(document.createElementNS(SVG, name), facts, inside);
}

function fill(node, facts, inside) {
  for (const [key, value] of Object.entries(facts)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...inside.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false));
  return node;
}

export const clock = (seconds) => {
  const whole = Math.max(0, Math.round(seconds || 0));
  const pair = `${Math.floor(whole / 60) % 60}:${String(whole % 60).padStart(2, "0")}`;
  return whole >= 3600 ? `${Math.floor(whole / 3600)}:${pair.padStart(5, "0")}` : pair;
};

/** Storage that a private window may refuse. */
export const memory = {
  get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
  set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* nothing is kept then */ } },
  drop: (key) => { try { localStorage.removeItem(key); } catch { /* nothing was kept */ } },
  keys: () => { try { return Object.keys(localStorage); } catch { return []; } },
};

/** Whether the person asked for less motion: nothing glides then, and nothing starts to play by itself. */
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Random hexadecimal digits; `crypto.randomUUID` is missing on plain http beyond this machine. */
export const random = (bytes) => Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (one) => one.toString(16).padStart(2, "0")).join("");

/** A sentence for everybody who listens: shown for some seconds and read out by screen readers. */
export function tell(text) {
  $("said").textContent = text;
  $("said").classList.add("on");
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => $("said").classList.remove("on"), 4000);
}
