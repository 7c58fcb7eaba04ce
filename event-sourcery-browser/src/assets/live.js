// Brings what changes up to date while it is looked at. Everything works without it.
"use strict";

(() => {
  const EVERY = 5000;
  const parts = () => document.querySelectorAll("[data-live]");
  if (parts().length === 0) return;

  let paused = false;
  let under_way = false;

  const button = document.createElement("button");
  button.type = "button";
  button.className = "pause";
  const name = () => { button.textContent = paused ? "Go on updating" : "Stop updating"; };
  button.addEventListener("click", () => { paused = !paused; name(); });
  name();
  const stale = document.createElement("span");
  stale.className = "problem";
  stale.setAttribute("role", "status");
  document.querySelector("header.top").append(stale, button);

  const is_used = (part) => {
    const selection = document.getSelection();
    const is_selected = selection && !selection.isCollapsed && selection.containsNode(part, true);
    // A click into a table focuses it, and is no use of it.
    return is_selected || part.querySelector(":focus-visible") !== null;
  };

  // Whoever has scrolled a table to its right finds it there.
  const replace = (part, fresh) => {
    const tables = () => [...part.querySelectorAll(".table")];
    const lefts = tables().map((table) => table.scrollLeft);
    part.replaceChildren(...document.adoptNode(fresh).childNodes);
    tables().forEach((table, at) => { table.scrollLeft = lefts[at] ?? 0; });
  };

  const update = async () => {
    if (paused || under_way || document.hidden) return;
    under_way = true;
    let is_fresh = false;
    try {
      const signal = AbortSignal.timeout?.(4 * EVERY);
      const answer = await fetch(location.href, { cache: "no-store", redirect: "error", signal });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts()) {
        const fresh = page.getElementById(part.id);
        if (!fresh) continue;
        is_fresh = true;
        if (!is_used(part) && fresh.innerHTML !== part.innerHTML) replace(part, fresh);
      }
    } catch {
      // The service is away, or takes too long: the next try tells.
    } finally {
      under_way = false;
      stale.textContent = is_fresh ? "" : "Not up to date";
    }
  };
  setInterval(update, EVERY);
})();
