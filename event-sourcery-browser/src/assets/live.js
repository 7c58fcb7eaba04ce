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
  document.querySelector("header.top").append(button);

  const is_used = (part) => {
    const selection = document.getSelection();
    const is_selected = selection && !selection.isCollapsed && selection.containsNode(part, true);
    return is_selected || part.contains(document.activeElement);
  };

  const update = async () => {
    if (paused || under_way || document.hidden) return;
    under_way = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store", redirect: "error" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts()) {
        const fresh = page.getElementById(part.id);
        if (fresh && !is_used(part) && fresh.innerHTML !== part.innerHTML) {
          part.replaceChildren(...document.adoptNode(fresh).childNodes);
        }
      }
    } catch {
      // The service is away: the next try tells.
    } finally {
      under_way = false;
    }
  };
  setInterval(update, EVERY);
})();
