// Keeps an open page current: asks how the work stands, puts the texts in place, and loads the page anew once the
// state itself has changed. Without it the page has a link that does the same.
"use strict";
(() => {
  const EVERY_MS = 2000, SLOW_MS = 15000;
  const { live, again } = document.body.dataset;
  if (!live) return;
  let wait = EVERY_MS;
  const place = (name, text) => {
    const line = document.getElementById(`live-${name}`);
    if (line && line.textContent !== text) line.textContent = text;
  };
  const look = async () => {
    try {
      const answer = await fetch(live, { credentials: "same-origin", cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const told = await answer.json();
      // Nobody's typing is to be lost.
      const busy = document.activeElement && document.activeElement.matches("input, select");
      if (told.again !== again && !busy) { location.reload(); return; }
      for (const [name, text] of Object.entries(told.texts || {})) place(name, text);
      const bar = document.getElementById("share");
      if (bar && typeof told.share === "number") bar.value = told.share;
      wait = document.querySelector(".live") ? EVERY_MS : 2 * EVERY_MS;
    } catch {
      wait = Math.min(wait * 2, SLOW_MS);
    }
    setTimeout(look, wait);
  };
  setTimeout(look, wait);
})();
