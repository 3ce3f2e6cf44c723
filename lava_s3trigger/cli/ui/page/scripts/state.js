// What the page shows. It is in the address behind the #, so that it can be sent to a colleague.

const INITIAL = {
  view: "try",
  uri: "",
  size: "",
  type: "",
  time: "",
  payload: "",
  search: "",
  state: "",
  owner: "",
  job: "",
  worker: "",
  entry: "",
  drafts: [], // of { replaces, text }
  draft: 0,
  keys: "",
  bucket: "",
};

export const state = structuredClone(INITIAL);
const listeners = [];

// Calls a function with the names of what has changed.
export function onChange(listener) {
  listeners.push(listener);
}

export function update(changes) {
  const names = Object.keys(changes).filter(
    (name) => JSON.stringify(state[name]) !== JSON.stringify(changes[name]),
  );
  if (!names.length) return;
  Object.assign(state, changes);
  writeAddress();
  for (const listener of listeners) listener(new Set(names));
}

let later = 0;

// Safari refuses more than 100 addresses in 30 seconds: the page goes on, and tries again.
function writeAddress() {
  clearTimeout(later);
  try {
    history.replaceState(null, "", `#${written()}`);
  } catch {
    later = setTimeout(writeAddress, 1000);
  }
}

export function read() {
  const found = new URLSearchParams(location.hash.slice(1));
  const changes = structuredClone(INITIAL);
  for (const name of Object.keys(INITIAL)) {
    if (!found.has(name)) continue;
    const text = found.get(name);
    try {
      changes[name] = typeof INITIAL[name] === "string" ? text : JSON.parse(text);
    } catch {
      // Somebody cut the address short.
    }
  }
  const isDraft = (draft) =>
    typeof draft?.text === "string" && ["string", "object"].includes(typeof (draft.replaces ?? null));
  if (!Array.isArray(changes.drafts) || !changes.drafts.every(isDraft)) changes.drafts = [];
  if (!Number.isInteger(changes.draft)) changes.draft = 0;
  update(changes);
}

export function written() {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (JSON.stringify(value) === JSON.stringify(INITIAL[name])) continue;
    parameters.set(name, typeof value === "string" ? value : JSON.stringify(value));
  }
  return parameters.toString();
}

// The object or payload that is tried, as the server reads it.
export function tried() {
  const { uri, size, type, time, payload, drafts } = state;
  return { uri, size, event_type: type, time, payload, drafts };
}
