// Completion in expressions: the data sources, and the fields of the newest delivery or of the event beside the form.
import { suggestions } from "./suggestions.js";

// An expression that has begun, or a word: both are replaced by the chosen expression.
const BEGUN = /\$\{?[\w:]*$|\$\{Webhook::[^}]*$/;
// A path behind a whole expression goes on with it: `${Webhook::Body.repository}.name`.
const LONGER = /\$\{Webhook::([\w.[\]"'-]+)\}(\.[\w.[\]"'-]*)$/;
const WORD = /[\w.[\]"'-]+$/;
const SOURCES = [
  ["Body", "the whole body"],
  ["Headers", "all headers"],
  ["Query", "the whole query"],
  ["Headers.Content-Type", "a header"],
  ["Headers.User-Agent", "a header"],
  ["Delivery.id", "the delivery's id"],
  ["Delivery.received_at", "the time of arrival"],
  ["Delivery.source_ip", "the sender's address"],
  ["Delivery.webhook", "this webhook's name"],
];

export function completion(fields) {
  suggestions("[data-completes]", {
    id: "completions",
    label: "Expressions",
    offer: (input) => {
      const begun = begins(input);
      if (!begun) return null;
      const known = new Map([...fields().map(({ source, value }) => [source, value]), ...SOURCES].reverse());
      const words = begun.typed.toLowerCase();
      const found = [...known].reverse().filter(([source]) => source.toLowerCase().includes(words));
      const write = isJinja(input) ? jinja : (source) => `\${Webhook::${source}}`;
      const options = found.map(([source, value]) => ({ text: source, note: value, insert: write(source) }));
      return { start: begun.start, end: begun.end, options };
    },
  });
}

function begins(input) {
  const at = input.selectionStart;
  const before = input.value.slice(0, at);
  const end = at + (input.value[at] === "}" && !isJinja(input) ? 1 : 0);
  const [expression] = BEGUN.exec(before) ?? [];
  if (expression) return { start: at - expression.length, end, typed: expression.replace(/^\$\{?(Webhook::?)?/, "") };
  const [longer, path, more] = LONGER.exec(before) ?? [];
  if (longer) return { start: at - longer.length, end: at, typed: path + more };
  const [word] = WORD.exec(before) ?? [];
  if (word) return { start: at - word.length, end: at, typed: word };
  return before.trim() === "" || isJinja(input) ? { start: at, end: at, typed: "" } : null;
}

// Inside of {{ }}, and in a condition, which has no braces.
function isJinja(input) {
  const before = input.value.slice(0, input.selectionStart);
  if (before.lastIndexOf("{{") > before.lastIndexOf("}}")) return true;
  return input.name === "filter" && !/^\s*(\{\{|\$\{)/.test(input.value);
}

function jinja(source) {
  const [name, ...steps] = source.match(/^\w+|\.[^.[]+|\[[^\]]+\]/g);
  return name.toLowerCase() + steps.map((step) => (/^\.\w+$|^\[/.test(step) ? step : `[${JSON.stringify(step.slice(1))}]`)).join("");
}
