"use strict";
const chips = [...document.querySelectorAll(".chip")];
const cards = [...document.querySelectorAll(".gallery .card")];
for (const chip of chips) {
  chip.addEventListener("click", () => {
    for (const other of chips) other.classList.toggle("on", other === chip);
    const at = chip.dataset.show.indexOf(":");
    const kind = chip.dataset.show.slice(0, Math.max(at, 0));
    const wanted = chip.dataset.show.slice(at + 1);
    for (const card of cards) card.hidden = Boolean(kind) && card.dataset[kind] !== wanted;
  });
}
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = (root.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  root.style.colorScheme = dark ? "light" : "dark";
});
