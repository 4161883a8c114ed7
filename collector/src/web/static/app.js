// Renews <main> in place while the page is visible; without this script the page renews as a whole.
(() => {
  const seconds = () => Number(document.getElementById("main")?.dataset.refresh || 0);
  const stale = document.getElementById("stale");
  let missed = 0;

  const busy = () => document.activeElement?.matches("input, select, textarea");

  async function renew() {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const now = fresh.getElementById("main");
      const old = document.getElementById("main");
      if (!now || !old) throw new Error("no main");
      const focus = document.activeElement?.getAttribute("href");
      old.replaceChildren(...now.childNodes);
      const foot = fresh.querySelector("footer");
      if (foot) document.querySelector("footer")?.replaceWith(foot);
      if (focus) old.querySelector(`a[href="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
      missed = 0;
    } catch {
      missed += 1;
    }
    if (stale) stale.hidden = missed < 2;
  }

  if (seconds() > 0) {
    setInterval(() => {
      if (!document.hidden && !busy()) renew();
    }, seconds() * 1000);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) renew();
    });
  }

  for (const select of document.querySelectorAll("form.filters select")) {
    select.addEventListener("change", () => select.form.requestSubmit());
  }
})();
