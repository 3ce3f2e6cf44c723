// The editor of a draft: CodeMirror, with completion from the schema and findings as squiggles.

import {
  autocompletion, closeBrackets, completionKeymap, defaultKeymap, drawSelection, EditorState,
  EditorView, history, HighlightStyle, historyKeymap, indentUnit, keymap, lineNumbers, lintGutter,
  lintKeymap, setDiagnostics, syntaxHighlighting, tags, yaml,
} from "../vendor/codemirror.js";

const SEVERITIES = { error: "error", warning: "warning", info: "info" };
const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--name)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--text-value)" },
  { tag: [tags.bool, tags.number, tags.null], color: "var(--value)" },
  { tag: tags.comment, color: "var(--faint)" },
]);
const theme = EditorView.theme({
  "&": { backgroundColor: "var(--field)", color: "var(--ink)", minHeight: "180px", maxHeight: "50dvh" },
  ".cm-scroller": { overflow: "auto" },
  "&.cm-focused": { outline: "2px solid var(--focus)" },
  ".cm-content": { fontFamily: "var(--mono)", caretColor: "var(--ink)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "var(--field)", color: "var(--faint)", border: "none" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--ink)", borderColor: "var(--line)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--selected)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--selected)", color: "var(--ink)" },
});

export class Editor {
  constructor(place, schema, onEdit) {
    const fields = fieldsOf(schema);
    this.isShowing = false;
    // In a shadow root CodeMirror adopts style sheets; elsewhere it writes <style>, which the
    // content security policy refuses.
    const root = place.attachShadow({ mode: "open" });
    this.view = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        extensions: [
          lineNumbers(), lintGutter(), history(), drawSelection(), closeBrackets(), yaml(),
          syntaxHighlighting(colours), theme, indentUnit.of("  "),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": "Entry as YAML" }),
          autocompletion({ override: [(context) => completions(context, fields)] }),
          // Not Tab, which leaves the editor: whoever uses a keyboard alone must get out.
          keymap.of([...completionKeymap, ...defaultKeymap, ...historyKeymap, ...lintKeymap]),
          EditorView.updateListener.of((change) => {
            if (change.docChanged && !this.isShowing) onEdit(change.state.doc.toString());
          }),
        ],
      }),
    });
  }

  show(text) {
    const now = this.view.state.doc.toString();
    if (now === text) return;
    this.isShowing = true;
    this.view.dispatch({ changes: { from: 0, to: now.length, insert: text } });
    this.isShowing = false;
  }

  mark(findings) {
    const { doc } = this.view.state;
    const diagnostics = findings.map((finding) => {
      const line = doc.line(Math.min(Math.max(finding.line ?? 1, 1), doc.lines));
      const from = Math.min(line.from + (finding.column ?? 1) - 1, line.to);
      const to = Math.min(from + Math.max(finding.end ?? line.length, 1), doc.length);
      const severity = SEVERITIES[finding.severity];
      return { from, to, severity, source: finding.rule, message: finding.message };
    });
    diagnostics.sort((one, other) => one.from - other.from);
    this.view.dispatch(setDiagnostics(this.view.state, diagnostics));
  }
}

// The fields of an entry, with what the schema says of each.
function fieldsOf(schema) {
  const entry = Object.values(schema.$defs ?? {}).find((part) => part.properties?.trigger_id) ?? schema;
  return Object.entries(entry.properties ?? {}).map(([name, value]) => ({
    label: name,
    type: "property",
    info: value.description,
    apply: `${name}: `,
  }));
}

function completions(context, fields) {
  const line = context.state.doc.lineAt(context.pos);
  const word = context.matchBefore(/[\w-]*/);
  const before = line.text.slice(0, word.from - line.from);
  if (!/^(- )?$/.test(before) || (word.from === word.to && !context.explicit)) return null;
  return { from: word.from, options: fields };
}
