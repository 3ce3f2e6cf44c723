// Starts the page: its state from the address, then its parts.

import { ask } from "./api.js";
import { h, visible } from "./dom.js";
import * as draft from "./draft.js";
import * as map from "./map.js";
import * as plan from "./plan.js";
import * as recent from "./recent.js";
import { onChange, read, state, update } from "./state.js";
import * as try_ from "./try.js";

const VIEWS = { map: "Entries", try: "Try", draft: "Drafts", plan: "Plan", recent: "Parked and recent" };
const trouble = document.querySelector("#trouble");

function showTrouble(error) {
  trouble.textContent = visible(error.message ?? error);
  trouble.hidden = false;
}

function showView() {
  document.body.dataset.view = state.view;
  for (const tab of document.querySelectorAll("#views [role=tab]")) {
    tab.setAttribute("aria-selected", String(tab.dataset.view === state.view));
    tab.tabIndex = tab.dataset.view === state.view ? 0 : -1;
  }
}

function moveTab(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const shown = [...document.querySelectorAll("#views [role=tab]")].filter((tab) => tab.offsetParent);
  const at = shown.indexOf(document.activeElement);
  const next = shown[(at + step + shown.length) % shown.length];
  next.focus();
  update({ view: next.dataset.view });
}

async function start() {
  read();
  document.querySelector("#views").append(
    ...Object.entries(VIEWS).map(([name, title]) =>
      h("button", {
        type: "button", role: "tab", "data-view": name, "aria-controls": name,
        onclick: () => update({ view: name }), onkeydown: moveTab,
      }, title),
    ),
  );
  onChange((names) => names.has("view") && showView());
  showView();
  window.addEventListener("hashchange", read);
  window.addEventListener("unhandledrejection", (event) => showTrouble(event.reason));
  const about = await ask("about");
  draft.start(about);
  try_.start(about);
  plan.start();
  recent.start(about);
  await map.start();
}

start().catch(showTrouble);
