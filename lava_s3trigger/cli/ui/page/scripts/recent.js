// What waits in the dead-letter queues, and what happened in the last hour. Read when asked.

import { ask } from "./api.js";
import { h, visible, visibleLines } from "./dom.js";
import { update } from "./state.js";

const parked = h("div", { "aria-live": "polite" });
const recent = h("div", { "aria-live": "polite" });

export function start(about) {
  const panel = document.querySelector("#recent");
  if (!about.watches) {
    panel.append(
      h("p", { class: "empty" }, "These entries are from files. To see what is parked and what",
        " happened, run lava-s3trigger ui --realm NAME."),
    );
    return;
  }
  panel.append(
    h("h2", {}, "Parked"),
    h("button", { type: "button", onclick: () => load("parked", parked, parkedElements) },
      "Read the dead-letter queues"),
    h("p", { class: "hint" }, "While they are read, a redrive does not see the messages."),
    parked,
    h("h2", {}, "The last hour"),
    h("button", { type: "button", onclick: () => load("recent", recent, recentElements) }, "Read the log"),
    recent,
  );
}

async function load(call, place, elements) {
  place.replaceChildren(h("p", {}, "Reading..."));
  try {
    const answer = await ask(call);
    if (answer) place.replaceChildren(...elements(answer));
  } catch (error) {
    place.replaceChildren(h("p", { class: "wrong" }, visibleLines(error.message)));
  }
}

const tryButton = (uri) =>
  h("button", { type: "button", class: "link", onclick: () => update({ uri, payload: "", view: "try" }) }, visible(uri));

function parkedElements(answer) {
  const hidden = answer.queues.filter((queue) => queue.hidden);
  return [
    ...hidden.map((queue) =>
      h("p", { class: "wrong" }, visible(`${queue.hidden} more are hidden in ${queue.queue} until ${queue.hidden_until}`))),
    answer.messages.length
      ? table(["Object", "Trigger", "Why", "Since"], answer.messages.map((letter) => [
          letter.objects.map(tryButton), visible(letter.trigger_id ?? ""),
          visible(letter.reason), letter.sent_at,
        ]))
      : h("p", { class: "empty" }, "Nothing waits."),
  ];
}

function recentElements(answer) {
  return [
    !answer.logs_dispatches &&
      h("p", { class: "hint" }, "The function's log level leaves dispatches out."),
    answer.more > 0 && h("p", { class: "hint" }, `and ${answer.more} older ones`),
    answer.lines.length
      ? table(["Time", "Outcome", "Object", "Trigger", "Why"], answer.lines.map((line) => [
          line.time, line.event, line.bucket && line.key ? tryButton(`s3://${line.bucket}/${line.key}`) : "",
          visible(line.trigger_id ?? ""), visible(line.reason ?? ""),
        ]))
      : h("p", { class: "empty" }, "The log has nothing of the last hour."),
  ].filter(Boolean);
}

function table(names, rows) {
  return h("div", { class: "wide" }, h("table", {},
    h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell)))))));
}
