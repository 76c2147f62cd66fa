(() => {
  "use strict";
  // Fetches the page again and exchanges the parts that changed, so that focus, scrolling and open details stay.
  const every = 2000;
  const parts = [...document.querySelectorAll("[data-live]")];
  const was = new Map(parts.map((part) => [part.id, part.innerHTML]));
  const note = document.getElementById("live-note");
  const say = (text) => { if (note.textContent !== text) note.textContent = text; };
  const typing = (part) => part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");
  const exchange = (part, fresh) => {
    const open = [...part.querySelectorAll("details[open]")].map((details) => details.id);
    const focus = part.contains(document.activeElement) ? document.activeElement : null;
    was.set(part.id, fresh.innerHTML);
    part.replaceChildren(...fresh.childNodes);
    for (const id of open) { const details = document.getElementById(id); if (details) details.open = true; }
    if (focus) {
      const same = [...part.querySelectorAll("a, button, summary")].find(
        (other) => (focus.id ? other.id === focus.id : other.getAttribute("href") === focus.getAttribute("href") && other.textContent === focus.textContent));
      if (same) same.focus({ preventScroll: true });
    }
  };
  const refresh = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.title = page.title;
      for (const part of parts) {
        const fresh = page.getElementById(part.id);
        if (fresh && !typing(part) && fresh.innerHTML !== was.get(part.id)) exchange(part, fresh);
      }
      say("");
    } catch {
      say("No connection: this page shows an older state.");
    }
  };
  const next = () => setTimeout(() => refresh().finally(next), every);
  next();
})();
