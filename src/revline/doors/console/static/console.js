// What pages can't do on the server: the viewer's time zone, keys, colours, dialogs, copying. Works on any part htmx swaps in.
"use strict";
(() => {
  const inZone = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short" });
  const localise = (root) => {
    for (const time of root.querySelectorAll("time[data-local]")) {
      time.textContent = inZone.format(new Date(time.dateTime));
      time.removeAttribute("data-local");
    }
  };

  const isTyping = (target) => target.closest("input, textarea, select, [contenteditable]") !== null;
  const rows = () => [...document.querySelectorAll("#list tbody tr, tr[data-href]")].filter((row, at, all) => all.indexOf(row) === at);
  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("here"));
    const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
    all.forEach((row) => row.classList.toggle("here", row === next));
    next.scrollIntoView({ block: "nearest" });
    const link = next.querySelector("a");
    if (link) link.focus({ preventScroll: true });
  };

  const show = (id) => {
    const dialog = document.getElementById(id);
    if (dialog && !dialog.open) dialog.showModal();
  };
  const place = (popover) => {
    const opener = document.querySelector(`[popovertarget="${popover.id}"]`);
    if (!opener) return;
    const box = opener.getBoundingClientRect();
    const own = popover.getBoundingClientRect();
    const below = box.bottom + 6 + own.height < innerHeight;
    popover.style.top = `${below ? box.bottom + 6 : Math.max(8, box.top - own.height - 6)}px`;
    popover.style.left = `${Math.max(8, Math.min(box.left, innerWidth - own.width - 16))}px`;
  };

  let went = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const key = event.key;
    if (Date.now() - went < 1000) {
      went = 0;
      const link = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    const keyed = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (key === "/") { event.preventDefault(); document.getElementById("search")?.focus(); }
    else if (key === "?") show("keys");
    else if (key === "j") move(1);
    else if (key === "k") move(-1);
    else if (key === "g") went = Date.now();
    else if (key === "x") document.querySelector("tr.here input[type=checkbox]")?.click();
    else if (key === "Enter" && event.target === document.body) {
      const here = document.querySelector("tr.here[data-href]");
      if (here) location.assign(here.dataset.href);
    } else if (keyed) { event.preventDefault(); keyed.click(); }
  });

  document.addEventListener("click", async (event) => {
    const dialog = event.target.closest("[data-dialog]");
    if (dialog) return show(dialog.dataset.dialog);
    if (event.target.closest("[data-close]")) return event.target.closest("dialog").close();
    if (event.target.closest("[data-reload]")) return location.reload();
    if (event.target.closest("[data-side]")) return document.getElementById("side").classList.toggle("shown");
    const theme = event.target.closest("[data-theme-choice]");
    if (theme) {
      const chosen = theme.dataset.themeChoice;
      document.documentElement.dataset.theme = chosen;
      document.cookie = `revline_theme=${chosen}; path=/; max-age=31536000; samesite=lax`;
      document.querySelectorAll("[data-theme-choice]").forEach((one) => one.setAttribute("aria-pressed", one === theme));
      return;
    }
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      await navigator.clipboard.writeText(copy.closest("figure").querySelector("pre").textContent);
      const label = copy.querySelector("span");
      label.textContent = "Copied";
      setTimeout(() => { label.textContent = "Copy"; }, 1500);
      return;
    }
    const all = event.target.closest("[data-select-all]");
    if (all) {
      all.closest("table").querySelectorAll("td.select input").forEach((box) => { box.checked = all.checked; });
      all.dispatchEvent(new Event("change", { bubbles: true }));
      return;
    }
    event.target.closest("[popover] a")?.closest("[popover]").hidePopover();
    const row = event.target.closest("tr[data-href]");
    if (row && !event.target.closest("a, button, input, label") && !String(getSelection())) location.assign(row.dataset.href);
  });

  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-choose]");
    if (!form) return;
    const count = form.querySelectorAll("td.select input:checked").length;
    form.querySelectorAll("[data-chosen]").forEach((one) => { one.textContent = count; });
    form.querySelectorAll("[data-needs-choice]").forEach((one) => { one.disabled = count === 0; });
  });

  // A form is sent once: a second press would be a second wish.
  document.addEventListener("submit", (event) => {
    if (event.target.method === "post") event.target.querySelectorAll("button:not([type=button])").forEach((one) => { one.disabled = true; });
    if (event.target.method === "get") {
      event.target.querySelectorAll("input, select").forEach((one) => { if (!one.value && !one.closest("[hx-get]")) one.disabled = true; });
    }
  });
  addEventListener("pageshow", () => document.querySelectorAll("button:disabled:not(.withheld button):not([data-needs-choice])").forEach((one) => { one.disabled = false; }));

  document.addEventListener("toggle", (event) => {
    if (event.target.matches("[popover]") && event.newState === "open") place(event.target);
  }, true);
  document.addEventListener("htmx:after:swap", (event) => localise(event.target.getRootNode()));
  localise(document);
})();
