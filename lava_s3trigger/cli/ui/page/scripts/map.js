// The tree of buckets, prefixes and entries. Only the rows that are in sight are in the page.

import { ask } from "./api.js";
import { h, paused, visible } from "./dom.js";
import { know, openDraft } from "./draft.js";
import { onChange, state, update } from "./state.js";

const ROW_PIXELS = 28; // as in style.css
const SPARE_ROWS = 12;
export const STATES = {
  enabled: "enabled",
  disabled: "disabled",
  hiding: "disabled, and hides entries at shorter prefixes",
  broken: "broken: check finds an error",
  unreachable: "hardly any key reaches it, or none",
  "no job": "its job is missing",
  "job disabled": "its job is disabled",
  "no queue": "its worker has no queue",
};

let entries = [];
let buckets = [];
let rows = [];
let focused = 0;
let walk = null; // { bucket, prefixes: Map of prefix to whether it decides }
const closed = new Set();
const findings = new Map(); // of trigger ids

const list = h("div", { class: "rows" });
const tree = h("div", {
  id: "tree",
  role: "tree",
  tabindex: 0,
  "aria-label": "Buckets, prefixes and entries",
  onscroll: () => draw(),
  onkeydown: press,
  // Not drawn again: a row that is clicked must stay until the click has ended.
  onfocus: nameFocused,
});
const empty = h("p", { class: "empty" });
const controls = {
  search: h("input", { type: "search", placeholder: "Search id, prefix, description" }),
  state: h("select"),
  owner: h("select"),
  job: h("select"),
  worker: h("select"),
};

export function start() {
  tree.append(list);
  for (const [name, control] of Object.entries(controls)) {
    control.setAttribute("aria-label", name === "search" ? "Search entries" : `Filter by ${name}`);
    control.addEventListener("input", () => update({ [name]: control.value }));
  }
  document.querySelector("#map").append(
    h("div", { class: "filters" }, Object.values(controls)),
    empty,
    tree,
  );
  new ResizeObserver(() => draw()).observe(tree);
  const reload = paused(600, load);
  onChange((names) => {
    if (names.has("drafts")) reload();
    if (["search", "state", "owner", "job", "worker", "entry"].some((name) => names.has(name)))
      show();
  });
  return load();
}

async function load() {
  const answer = await ask("map", { drafts: state.drafts });
  if (!answer) return;
  document.querySelector("#realm").textContent = visible(answer.realm ?? answer.name);
  know(answer.realm);
  const notice = document.querySelector("#notice");
  notice.textContent = visible(answer.notice);
  notice.hidden = !answer.notice;
  document.title = `${answer.realm ?? answer.name} - lava-s3trigger`;
  entries = answer.entries;
  buckets = treeOf(entries, new Map(answer.levels.map((level) => [key(level), level.parent])));
  show();
  const found = await ask("findings", { drafts: state.drafts });
  if (!found) return;
  findings.clear();
  for (const finding of found.findings) {
    const id = finding.trigger_id;
    if (id) findings.set(id, [...(findings.get(id) ?? []), finding]);
  }
  for (const entry of entries) {
    const worse = found.states[entry.id];
    if (worse && (entry.state === "enabled" || worse === "broken")) entry.state = worse;
  }
  show();
}

const key = ({ bucket, prefix }) => JSON.stringify([bucket, prefix]);

// Returns the buckets, each with the prefixes at which there are entries, nested as the walk goes.
function treeOf(entries, parents) {
  const levels = new Map();
  const roots = new Map();
  const level = (bucket, prefix) => {
    const name = key({ bucket, prefix });
    if (!levels.has(name)) {
      const node = { id: name, bucket, prefix, entries: [], children: [] };
      levels.set(name, node);
      const parent = parents.get(name);
      if (parent !== null && parent !== undefined) level(bucket, parent).children.push(node);
      else {
        if (!roots.has(bucket)) roots.set(bucket, { id: bucket, bucket, entries: [], children: [] });
        roots.get(bucket).children.push(node);
      }
    }
    return levels.get(name);
  };
  for (const entry of entries) level(entry.bucket, entry.prefix).entries.push(entry);
  const byName = (one, other) => (one.prefix < other.prefix ? -1 : 1);
  for (const node of [...levels.values(), ...roots.values()]) node.children.sort(byName);
  return [...roots.values()].sort((one, other) => (one.bucket < other.bucket ? -1 : 1));
}

function matches(entry) {
  const text = [entry.id, entry.bucket, entry.prefix, entry.description, ...entry.conditions];
  const wanted = state.search.toLowerCase();
  return (
    (!wanted || text.some((part) => (part ?? "").toLowerCase().includes(wanted))) &&
    (!state.state || entry.state === state.state) &&
    (!state.owner || entry.owner === state.owner) &&
    (!state.job || entry.jobs.includes(state.job)) &&
    (!state.worker || entry.workers.includes(state.worker))
  );
}

// Lists the rows of the open nodes; a node without a match is left out.
function show() {
  fill();
  const isFiltered = Boolean(
    state.search || state.state || state.owner || state.job || state.worker,
  );
  rows = [];
  let shown = 0;
  const add = (node, depth) => {
    const at = rows.length;
    const own = node.entries.filter(matches);
    rows.push({ node, depth, isOpen: isFiltered || !closed.has(node.id) });
    if (isFiltered || !closed.has(node.id))
      rows.push(...own.map((entry) => ({ entry, depth: depth + 1 })));
    let count = own.length;
    const children = rows.length;
    for (const child of node.children) count += add(child, depth + 1);
    if (!isFiltered && closed.has(node.id)) rows.length = children;
    if (!count) rows.length = at;
    else rows[at].count = count;
    return count;
  };
  for (const bucket of buckets) shown += add(bucket, 1);
  document.querySelector("#counts").textContent = isFiltered
    ? `${shown} of ${entries.length} entries`
    : `${entries.length} entries in ${buckets.length} ${buckets.length === 1 ? "bucket" : "buckets"}`;
  empty.hidden = shown > 0;
  empty.textContent = entries.length
    ? "No entry matches. Clear the search and the filters to see all."
    : "There are no trigger entries here. Write one: docs/triggers.md shows how.";
  focused = Math.min(focused, Math.max(0, rows.length - 1));
  list.style.height = `${rows.length * ROW_PIXELS}px`;
  draw();
}

function fill() {
  const options = (control, all, values, meaning = (value) => value) => {
    const known = [...new Set(values.filter(Boolean))].sort();
    if (control.value && !known.includes(control.value)) known.push(control.value);
    control.replaceChildren(
      h("option", { value: "" }, all),
      ...known.map((value) => h("option", { value }, visible(meaning(value)))),
    );
  };
  options(controls.state, "Any state", entries.map((entry) => entry.state));
  options(controls.owner, "Any owner", entries.map((entry) => entry.owner));
  options(controls.job, "Any job", entries.flatMap((entry) => entry.jobs));
  options(controls.worker, "Any worker", entries.flatMap((entry) => entry.workers));
  for (const [name, control] of Object.entries(controls)) control.value = state[name];
}

function draw() {
  const first = Math.max(0, Math.floor(tree.scrollTop / ROW_PIXELS) - SPARE_ROWS);
  const last = Math.ceil((tree.scrollTop + tree.clientHeight) / ROW_PIXELS) + SPARE_ROWS;
  list.replaceChildren(
    ...rows.slice(first, last).map((row, number) => rowElement(row, first + number)),
  );
  nameFocused();
}

function nameFocused() {
  if (document.activeElement === tree && rows.length)
    tree.setAttribute("aria-activedescendant", `row-${focused}`);
}

function rowElement(row, number) {
  const { node, entry, depth } = row;
  const isSelected = entry && entry.id === state.entry;
  const lit = node && walk?.bucket === node.bucket ? walk.prefixes.get(node.prefix) : undefined;
  const element = h(
    "div",
    {
      id: `row-${number}`,
      role: "treeitem",
      class: [
        "row",
        node ? "node" : "entry",
        lit === true && "decides",
        lit === false && "tried",
        number === focused && "focused",
      ]
        .filter(Boolean)
        .join(" "),
      "aria-level": depth,
      "aria-expanded": node ? String(row.isOpen) : null,
      "aria-selected": entry ? String(Boolean(isSelected)) : null,
      onclick: () => {
        focused = number;
        activate(row);
      },
    },
    node ? nodeParts(node, row) : entryParts(entry),
  );
  element.style.top = `${number * ROW_PIXELS}px`;
  element.style.paddingInlineStart = `${(depth - 1) * 16 + 8}px`;
  return element;
}

function nodeParts(node, row) {
  const name = node.prefix === undefined ? `s3://${node.bucket}/` : wholeOr(node.prefix);
  return [
    h("span", { class: "twist", "aria-hidden": "true" }, row.isOpen ? "▾" : "▸"),
    h("span", { class: node.prefix === undefined ? "bucket" : "prefix" }, visible(name)),
    h("span", { class: "count" }, String(row.count)),
  ];
}

export const wholeOr = (prefix) => (prefix === "*" ? "* (the whole bucket)" : prefix);

function entryParts(entry) {
  const found = findings.get(entry.id) ?? [];
  return [
    h("span", {
      class: `dot ${entry.state.replace(" ", "-")}`,
      role: "img",
      "aria-label": STATES[entry.state],
      title: STATES[entry.state],
    }),
    h("span", { class: "id" }, visible(entry.id ?? "(no trigger_id)")),
    found.length > 0 && h("span", { class: "badge", title: "findings of check" }, found.length),
    h(
      "span",
      { class: "about" },
      visible([...entry.conditions, `→ ${entry.jobs.join(", ") || "no job"}`].join(" · ")),
    ),
  ];
}

function activate(row) {
  if (row.entry) {
    update({ entry: row.entry.id ?? "" });
    openDraft(row.entry, findings.get(row.entry.id) ?? []);
  } else {
    if (closed.has(row.node.id)) closed.delete(row.node.id);
    else closed.add(row.node.id);
    show();
  }
}

function press(event) {
  const row = rows[focused];
  const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 };
  if (event.key in moves) focused += moves[event.key];
  else if (event.key === "Home") focused = 0;
  else if (event.key === "End") focused = rows.length - 1;
  else if (event.key === "ArrowRight" && row?.node && !row.isOpen) activate(row);
  else if (event.key === "ArrowLeft" && row?.node && row.isOpen) activate(row);
  else if (event.key === "ArrowLeft")
    focused = rows.findLastIndex((each, n) => n < focused && each.depth < row.depth);
  else if (event.key === "Enter" || event.key === " ") activate(row);
  else return;
  event.preventDefault();
  focused = Math.max(0, Math.min(rows.length - 1, focused));
  bringIntoSight(focused);
  draw();
}

function bringIntoSight(number) {
  const top = number * ROW_PIXELS;
  if (top < tree.scrollTop) tree.scrollTop = top;
  else if (top + ROW_PIXELS > tree.scrollTop + tree.clientHeight)
    tree.scrollTop = top + ROW_PIXELS - tree.clientHeight;
}

// Lights up the walk of an event up the prefixes of its key.
export function lightUp(event) {
  walk = event && {
    bucket: event.bucket,
    prefixes: new Map(event.prefixes.map(({ prefix, entries }) => [prefix, entries > 0])),
  };
  const at = rows.findIndex(
    ({ node }) => walk && node?.bucket === walk.bucket && walk.prefixes.get(node.prefix),
  );
  if (at >= 0) bringIntoSight(at);
  draw();
}
