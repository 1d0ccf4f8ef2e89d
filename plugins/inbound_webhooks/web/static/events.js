// Checkboxes for a sender's event types; the filter stores the selection.
import { make } from "./elements.js";

const PICKED = /^delivery\.event_type in (\[[^\]]*\])(?: and \(([^]*)\))?$/;

export function eventPicker(form) {
  const place = document.getElementById("events");
  const filter = form.elements.filter;
  const boxes = () => [...place.querySelectorAll("input")];

  function show() {
    const { events, rest } = split(filter.value);
    const inBraces = /^(\{\{|\$\{)/.test(rest);
    place.querySelector(".help").hidden = !inBraces;
    for (const box of boxes()) {
      box.checked = events.includes(box.value);
      box.disabled = inBraces;
    }
  }

  place.addEventListener("change", () => {
    const offered = boxes().map((box) => box.value);
    const { events, rest } = split(filter.value);
    const others = events.filter((name) => !offered.includes(name));
    const chosen = boxes().filter((box) => box.checked).map((box) => box.value);
    filter.value = joined([...chosen, ...others], rest);
  });
  filter.addEventListener("input", show);

  return (preset) => {
    const events = preset?.events ?? [];
    place.hidden = !events.length;
    place.querySelector(".chips").replaceChildren(...events.map((name) =>
      make("label", {}, make("input", { type: "checkbox", value: name }), name)));
    show();
  };
}

// Splits a filter into its event types and the remaining condition.
function split(text) {
  const whole = { events: [], rest: text.trim() };
  const [, list, rest = ""] = PICKED.exec(whole.rest) ?? [];
  if (!list || !isBalanced(rest)) return whole;
  try {
    return { events: JSON.parse(list), rest };
  } catch {
    return whole;
  }
}

// False for "(a) or (b)", where the opening parenthesis closes before the end.
function isBalanced(text) {
  let depth = 0;
  for (const character of text) {
    if (character === "(") depth += 1;
    if (character === ")" && --depth < 0) return false;
  }
  return depth === 0;
}

function joined(events, rest) {
  if (!events.length) return rest;
  const picked = `delivery.event_type in [${events.map((name) => JSON.stringify(name)).join(", ")}]`;
  return rest ? `${picked} and (${rest})` : picked;
}
