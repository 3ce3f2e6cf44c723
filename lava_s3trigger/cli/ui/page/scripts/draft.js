// Drafts of entries: edited with completion and findings, tested, saved as a file. None is sent.

import { ask } from "./api.js";
import { copyButton, counted, h, paused, visible, visibleLines } from "./dom.js";
import { Editor } from "./editor.js";
import { onChange, state, update } from "./state.js";

const NEW = `trigger_id: my-trigger
description: What it is for
owner: my-team
bucket: my-bucket
prefix: incoming
enabled: true
job_id: my-job
if_fnmatch: "*.csv"
x-tests:
  - key: incoming/a.csv
    expect:
      - job_id: my-job
`;

const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Drafts" });
const results = h("div", { class: "results", "aria-live": "polite" });
const place = h("div", { class: "editor" });
const command = h("code");
const body = h("div", { hidden: true });
const empty = h("p", { class: "empty" });
// The texts of the entries that drafts replace: a draft that is still the same changes nothing.
const originals = new Map();
let editor;
let realm = null;
const judge = paused(250, showResults);

export function start(about) {
  editor = new Editor(place, about.schema, (text) => edit(text));
  body.append(
    place,
    results,
    h(
      "div",
      { class: "actions" },
      copyButton(() => allText(), "Copy what is drafted"),
      h("button", { type: "button", onclick: save }, "Save drafts.yaml"),
      h("button", { type: "button", class: "quiet", onclick: discard }, "Discard this draft"),
    ),
    h("p", { class: "apply" }, "To apply them: ", command, " ", copyButton(() => command.textContent)),
  );
  empty.append(
    "No draft yet. Choose an entry in the tree, or ",
    h("button", { type: "button", onclick: () => add(null, NEW) }, "write a new one"),
    ".",
  );
  document.querySelector("#draft").append(tabs, empty, body);
  onChange((names) => {
    if (names.has("drafts") || names.has("draft")) show();
  });
  show();
  readOriginals();
}

// Reads the entries of drafts that came with the address.
async function readOriginals() {
  for (const { replaces } of state.drafts) {
    if (!replaces || originals.has(replaces)) continue;
    const answer = await ask("entry", { trigger_id: replaces }).catch(() => null);
    if (answer) originals.set(replaces, answer.text);
  }
  show();
}

// Returns the drafts that differ from the entries that they replace.
export const edited = () =>
  state.drafts.filter((draft) => originals.get(draft.replaces) !== draft.text);

export function know(nameOfRealm) {
  realm = nameOfRealm;
  show();
}

// Opens an entry of the tree as a draft, or the draft that it has already.
export async function openDraft(entry) {
  const at = state.drafts.findIndex(
    (draft) => entry.id && [draft.replaces, nameOf(draft)].includes(entry.id),
  );
  if (at >= 0) return update({ draft: at, view: "draft" });
  const answer = await ask("entry", { trigger_id: entry.id ?? "", source: entry.source });
  if (!answer) return;
  if (entry.id) originals.set(entry.id, answer.text);
  add(entry.id, answer.text);
}

// Applies a change that `explain` suggests to the draft of an entry.
export async function applyChange(triggerId, change) {
  let at = state.drafts.findIndex((draft) => nameOf(draft) === triggerId);
  let draft = state.drafts[at];
  if (at < 0) {
    draft = { replaces: triggerId, ...(await ask("entry", { trigger_id: triggerId })) };
    originals.set(triggerId, draft.text);
  }
  const answer = await ask("change", { text: draft.text, change });
  if (!answer) return;
  const drafts = [...state.drafts];
  if (at < 0) at = drafts.length;
  drafts[at] = { replaces: draft.replaces, text: answer.text };
  update({ drafts, draft: at, view: "draft" });
}

function add(replaces, text) {
  update({ drafts: [...state.drafts, { replaces, text }], draft: state.drafts.length, view: "draft" });
}

function edit(text) {
  const drafts = [...state.drafts];
  drafts[state.draft] = { ...drafts[state.draft], text };
  update({ drafts });
}

function discard() {
  const drafts = state.drafts.filter((_, number) => number !== state.draft);
  update({ drafts, draft: Math.max(0, state.draft - 1) });
}

// A file cannot say that an entry is to go, so empty drafts are left out.
const saved = () => edited().filter((draft) => draft.text.trim());
const allText = () => saved().map((draft) => `---\n${draft.text.replace(/\n?$/, "\n")}`).join("");

function save() {
  const address = URL.createObjectURL(new Blob([allText()], { type: "application/yaml" }));
  const link = h("a", { href: address, download: "drafts.yaml" });
  link.click();
  URL.revokeObjectURL(address);
}

function nameOf(draft) {
  return /^(?:- )?\s*trigger_id: *["']?([^"'\n]*)/m.exec(draft.text)?.[1] || draft.replaces || "draft";
}

function show() {
  const { drafts } = state;
  const draft = drafts[state.draft];
  empty.hidden = drafts.length > 0;
  body.hidden = !draft;
  tabs.replaceChildren(
    ...drafts.map((each, number) =>
      h(
        "button",
        {
          type: "button",
          role: "tab",
          "aria-selected": String(number === state.draft),
          onclick: () => update({ draft: number }),
        },
        visible(nameOf(each)),
      ),
    ),
    drafts.length ? h("button", { type: "button", class: "quiet", onclick: () => add(null, NEW) }, "New") : "",
  );
  command.textContent = `lava-s3trigger apply drafts.yaml --realm ${realm ?? "REALM"} --set SET`;
  const tab = document.querySelector("#views [data-view=draft]");
  if (tab) tab.textContent = edited().length ? `Drafts (${edited().length})` : "Drafts";
  if (!draft) return;
  editor.show(draft.text);
  judge();
}

async function showResults() {
  const at = state.draft;
  if (!state.drafts[at]) return;
  let answer;
  try {
    answer = await ask("draft", { drafts: state.drafts });
  } catch (error) {
    results.replaceChildren(h("p", { class: "wrong" }, visibleLines(error.message)));
    return;
  }
  if (!answer || at !== state.draft) return;
  const own = answer.findings.filter((finding) => finding.file?.split("/").at(-1) === `draft-${at + 1}.yaml`);
  editor.mark(own);
  const draft = state.drafts[at];
  if (!draft.text.trim()) {
    const name = visible(draft.replaces);
    results.replaceChildren(
      h("p", {}, `Here, ${name} is removed. A file cannot remove an entry: delete it from its own file, or write enabled: false.`),
    );
    return;
  }
  const cases = answer.cases.filter((each) => each.trigger_id === nameOf(draft));
  results.replaceChildren(
    h("h3", {}, own.length ? counted(own.length, "finding") : "check finds nothing wrong"),
    h("ul", { class: "findings" }, own.map(findingElement)),
    ...(answer.problem ? problemElements(answer.problem) : [casesElement(cases)]),
  );
}

function findingElement(finding) {
  return h(
    "li",
    { class: finding.severity },
    h("strong", {}, finding.severity),
    ` ${finding.rule}`,
    finding.line && ` line ${finding.line}`,
    `: ${visible(finding.message)}`,
  );
}

function problemElements(problem) {
  const named = problem.replace(/\S*draft-(\d+)\.yaml:(\d+)(?::\d+)?/g, (_, number, line) =>
    `${nameOf(state.drafts[number - 1])}, line ${line}`);
  return [
    h("h3", {}, "The cases of the drafts cannot be run"),
    h("p", { class: "wrong" }, visibleLines(named)),
  ];
}

function casesElement(cases) {
  if (!cases.length) return h("p", { class: "hint" }, "It has no cases. Add x-tests to test it.");
  const failed = cases.filter((each) => each.outcome === "failed");
  return h(
    "section",
    {},
    h("h3", {}, `${cases.length - failed.length} of ${cases.length} cases passed`),
    failed.map((each) =>
      h(
        "div",
        { class: "case" },
        h("p", { class: "wrong" }, visible(`${each.trigger_id}, case ${each.case}: ${each.name}`)),
        h("pre", { tabindex: 0 }, [...each.messages, ...each.diff].map(visible).join("\n")),
      ),
    ),
  );
}
