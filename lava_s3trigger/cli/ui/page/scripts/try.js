// Try a key or a payload: what the function would do, while it is typed.

import { ask } from "./api.js";
import { counted, h, labelled, paused, visible, visibleLines } from "./dom.js";
import { applyChange, edited } from "./draft.js";
import { lightUp, wholeOr } from "./map.js";
import { onChange, state, tried, update } from "./state.js";

const OUTCOMES = {
  dispatched: "dispatched",
  skipped: "skipped",
  user_error: "parked",
  failed: "failed",
};
const inputs = {
  uri: h("input", {
    placeholder: "s3://my-bucket/incoming/a.csv",
    spellcheck: "false",
    autocomplete: "off",
  }),
  size: h("input", { placeholder: "1", size: 8 }),
  type: h("select"),
  time: h("input", { placeholder: "now", size: 20 }),
  payload: h("textarea", { rows: 5, spellcheck: "false", placeholder: '{"Records": [...]}' }),
};
const answer = h("div", { class: "answer", "aria-live": "polite" });
const suggestions = h("div");
const findChanges = paused(400, showChanges);

export function start(about) {
  inputs.type.append(
    h("option", { value: "" }, "ObjectCreated:Put"),
    ...about.event_types
      .filter((name) => name !== "ObjectCreated:Put")
      .map((name) => h("option", { value: name }, name)),
  );
  for (const [name, input] of Object.entries(inputs))
    input.addEventListener("input", () => update({ [name]: input.value }));
  document.querySelector("#try").append(
    h(
      "form",
      { onsubmit: (event) => event.preventDefault() },
      labelled("Object", inputs.uri),
      h(
        "div",
        { class: "fields" },
        labelled("Size", inputs.size),
        labelled("Event", inputs.type),
        labelled("Time", inputs.time),
      ),
      h(
        "details",
        { open: Boolean(state.payload) },
        h("summary", {}, "Or paste a payload that Lambda was handed"),
        labelled("Payload", inputs.payload),
      ),
    ),
    answer,
    suggestions,
  );
  onChange((names) => {
    if (["uri", "size", "type", "time", "payload", "drafts"].some((name) => names.has(name))) show();
  });
  show();
}

async function show() {
  for (const [name, input] of Object.entries(inputs))
    if (document.activeElement !== input) input.value = state[name];
  suggestions.replaceChildren();
  if (!state.uri && !state.payload) {
    lightUp(null);
    answer.replaceChildren(
      h(
        "p",
        { class: "empty" },
        "Type the address of an object, and see which entries it meets, which conditions hold,",
        " and what is dispatched. It need not exist.",
      ),
    );
    return;
  }
  try {
    const document_ = await ask("explain", tried());
    if (!document_ || !(state.uri || state.payload)) return;
    lightUp(document_.events[0]);
    answer.replaceChildren(
      ...document_.events.map(eventElement),
      ...document_.errors.map((error) => h("p", { class: "wrong" }, visible(error))),
    );
    if (document_.events.some(hasMore)) findChanges();
  } catch (error) {
    lightUp(null);
    answer.replaceChildren(h("p", { class: "wrong" }, visibleLines(error.message)));
  }
}

// Whether anything of an event is not dispatched, so that a change could help.
function hasMore({ outcome, triggers }) {
  const parts = triggers.flatMap((trigger) => [trigger, ...trigger.jobs]);
  return outcome !== "dispatched" || parts.some((part) => part.outcome !== "dispatched");
}

function eventElement(event) {
  const dispatched = event.triggers
    .flatMap((trigger) => trigger.jobs)
    .filter((job) => job.outcome === "dispatched").length;
  const verdict = dispatched
    ? counted(dispatched, "dispatch", "dispatches")
    : `No dispatch${event.reason ? `: ${event.reason}` : ""}`;
  return h(
    "article",
    {},
    h("h2", { class: `verdict ${event.outcome}` }, visible(verdict)),
    edited().length > 0 &&
      h("p", { class: "hint" }, `With ${counted(edited().length, "draft")}, not as it is now.`),
    h(
      "p",
      { class: "facts" },
      visible(`s3://${event.bucket}/${event.key}`),
      ` · ${event.event_type} · ${counted(event.size, "byte")} · ${event.event_time}`,
    ),
    h(
      "ol",
      { class: "walk", "aria-label": "Prefixes that were tried" },
      event.prefixes.map(({ prefix, entries }) =>
        h(
          "li",
          { class: entries ? "decides" : "" },
          h("code", {}, visible(wholeOr(prefix))),
          entries ? ` ${entries} ${entries === 1 ? "entry decides" : "entries decide"}` : "",
        ),
      ),
    ),
    event.triggers.map(triggerElement),
  );
}

function triggerElement(trigger) {
  return h(
    "section",
    { class: "trigger" },
    h(
      "h3",
      {},
      h("span", { class: `outcome ${trigger.outcome}` }, OUTCOMES[trigger.outcome]),
      ` ${visible(trigger.trigger_id)} `,
      h("small", {}, visible(trigger.source)),
    ),
    trigger.conditions.length > 0 && h("div", { class: "wide" }, conditionsElement(trigger.conditions)),
    trigger.reason && h("p", { class: "reason" }, visible(trigger.reason)),
    trigger.errors.slice(1).map((error) => h("p", { class: "wrong" }, visibleLines(error.message))),
    trigger.jobs.map(jobElement),
  );
}

function conditionsElement(conditions) {
  return h(
    "table",
    {},
    h("caption", {}, "Conditions"),
    h(
      "thead",
      {},
      h("tr", {}, ["", "Condition", "Argument", "Saw"].map((name) => h("th", { scope: "col" }, name))),
    ),
    h("tbody", {}, conditions.map(conditionElement)),
  );
}

function conditionElement({ field, argument, value, holds }) {
  return h(
    "tr",
    { class: holds ? "holds" : "fails" },
    h("td", {}, holds ? "✓ holds" : "✗ fails"),
    h("td", {}, h("code", {}, visible(field))),
    h("td", {}, h("code", {}, visible(JSON.stringify(argument)))),
    h("td", {}, h("code", {}, visible(JSON.stringify(value)))),
  );
}

function jobElement(job) {
  return h(
    "div",
    { class: "job" },
    h(
      "p",
      {},
      h("span", { class: `outcome ${job.outcome}` }, OUTCOMES[job.outcome]),
      ` job ${visible(job.job_id)}`,
      job.queue && ` to ${visible(job.queue)}`,
      job.delay > 0 && ` after ${job.delay} s`,
      job.reason && `: ${visible(job.reason)}`,
    ),
    job.message && h("pre", { tabindex: 0 }, visibleLines(JSON.stringify(job.message, null, 2))),
  );
}

async function showChanges() {
  const request = tried();
  let found;
  try {
    found = await ask("changes", request);
  } catch {
    return; // the explanation says what is wrong
  }
  if (!found || JSON.stringify(request) !== JSON.stringify(tried())) return;
  const changes = found.events.flatMap((event) => event.changes);
  suggestions.replaceChildren(
    changes.length
      ? h(
          "section",
          { class: "changes" },
          h("h3", {}, "Each of these would make it dispatch, or dispatch more"),
          h("ul", {}, changes.map(changeElement)),
        )
      : "",
  );
}

function changeElement(change) {
  const key = /^object key: (.*)$/s.exec(change.change);
  const isOfJob = /^(add|correct|enable) job /.test(change.change);
  const use = () => {
    if (key) {
      const bucket = state.uri.split("/", 3).join("/");
      update({ uri: `${bucket}/${JSON.parse(key[1])}` });
    } else applyChange(change.trigger_id, change.change);
  };
  return h(
    "li",
    {},
    h("code", {}, visible(change.change)),
    change.trigger_id && ` in ${visible(change.trigger_id)}`,
    ` dispatches ${visible(change.dispatches.join(", "))}`,
    change.also ? `, but ${visible(change.also)} ` : " ",
    !isOfJob &&
      (!key || state.uri.startsWith("s3://")) &&
      h("button", { type: "button", onclick: use }, key ? "Try this key" : "Draft this change"),
  );
}
