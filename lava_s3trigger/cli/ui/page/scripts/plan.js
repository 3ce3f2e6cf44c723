// What the drafts change for a set of keys: who gains and who loses.

import { ask } from "./api.js";
import { h, labelled, visible, visibleLines } from "./dom.js";
import { onChange, state, update } from "./state.js";

const HEADS = {
  gained: "gains",
  lost: "loses",
  changed: "changes",
  parked: "parks",
  mended: "no longer parks",
};
const keys = h("textarea", { rows: 8, spellcheck: "false", placeholder: "incoming/a.csv\nincoming/b.csv" });
const bucket = h("input", { placeholder: "my-bucket" });
const answer = h("div", { class: "answer", "aria-live": "polite" });

export function start() {
  keys.addEventListener("input", () => update({ keys: keys.value }));
  bucket.addEventListener("input", () => update({ bucket: bucket.value }));
  document.querySelector("#plan").append(
    h(
      "form",
      {
        onsubmit: (event) => {
          event.preventDefault();
          run();
        },
      },
      labelled("Keys, or S3 URIs, one a line", keys),
      labelled("Bucket of lines that are only keys", bucket),
      h("button", { type: "submit" }, "Show what the drafts change"),
    ),
    answer,
  );
  onChange((names) => {
    if (["drafts", "keys", "bucket"].some((name) => names.has(name))) {
      number += 1;
      answer.replaceChildren(); // it is of other keys or drafts
    }
    show();
  });
  show();
}

function show() {
  if (document.activeElement !== keys) keys.value = state.keys;
  if (document.activeElement !== bucket) bucket.value = state.bucket;
}

let number = 0;

async function run() {
  const own = ++number;
  answer.replaceChildren(h("p", {}, "Deciding..."));
  try {
    const report = await ask("plan", state);
    if (report && own === number) answer.replaceChildren(...reportElements(report));
  } catch (error) {
    if (own === number) answer.replaceChildren(h("p", { class: "wrong" }, visibleLines(error.message)));
  }
}

function reportElements(report) {
  const { gained, lost, changed, same } = report.dispatches;
  return [
    h(
      "h2",
      {},
      report.triggers.length
        ? `${gained} gained, ${lost} lost, ${changed} changed, ${same} the same`
        : `Nothing changes for ${report.objects} objects`,
    ),
    !state.drafts.length && h("p", { class: "hint" }, "There is no draft yet, so nothing can change."),
    ...report.triggers.map((trigger) =>
      h(
        "section",
        { class: "trigger" },
        h("h3", {}, visible(trigger.trigger_id)),
        Object.keys(HEADS)
          .filter((kind) => trigger[kind])
          .map((kind) =>
            h(
              "div",
              { class: kind },
              h("p", {}, `${HEADS[kind]} ${trigger[kind].count}`),
              h(
                "ul",
                {},
                trigger[kind].examples.map((example) =>
                  h("li", {}, h("code", {}, visible(`s3://${example.bucket}/${example.key}`)),
                    example.job_id && ` job ${visible(example.job_id)}`,
                    kind !== "gained" && example.reason && `: ${visible(example.reason)}`),
                ),
              ),
            ),
          ),
      ),
    ),
    report.unreached.length > 0 &&
      h("p", { class: "hint" },
        `Reached by none of these keys: ${report.unreached.map((entry) => visible(entry.trigger_id)).slice(0, 10).join(", ")}${report.unreached.length > 10 ? ` and ${report.unreached.length - 10} more` : ""}`),
  ].filter(Boolean);
}
