// Completion in expressions: the data sources, and the fields of the newest delivery.
import { make } from "./elements.js";

const MOST = 40;
const BEFORE = /\$\{?[\w:]*$|\$\{Webhook::[^}]*$/;
const SOURCES = [
  ["Body", "the whole body"],
  ["Headers", "all headers"],
  ["Query", "the whole query"],
  ["Delivery.id", "the delivery's id"],
  ["Delivery.received_at", "the time of arrival"],
  ["Delivery.source_ip", "the sender's address"],
  ["Delivery.webhook", "this webhook's name"],
];

export function completion(root, fields) {
  const list = make("ul", { class: "completions", role: "listbox", id: "completions", "aria-label": "Expressions" });
  list.hidden = true;
  document.body.append(list);
  let input = null;
  let chosen = -1;

  const known = () => [
    ...fields().map(({ source, value }) => [source, value]),
    ...SOURCES,
  ];

  function begun() {
    const before = input.value.slice(0, input.selectionStart);
    const match = before.match(BEFORE);
    if (match) return { start: before.length - match[0].length, typed: match[0].replace(/^\$\{?(Webhook::?)?/, "") };
    return input.value === "" ? { start: 0, typed: "" } : null;
  }

  // A text area keeps the role of a text box, for which ARIA has no expanded state.
  function isCombobox() {
    return input?.tagName === "INPUT";
  }

  function open() {
    const place = begun();
    const words = place ? place.typed.toLowerCase() : "";
    const found = place ? known().filter(([source]) => source.toLowerCase().includes(words)).slice(0, MOST) : [];
    if (!found.length) return close();
    list.replaceChildren(
      ...found.map(([source, value], index) =>
        make("li", { role: "option", id: `completion-${index}`, "data-source": source }, source, make("span", {}, value)),
      ),
    );
    const box = input.getBoundingClientRect();
    list.hidden = false;
    list.className = "completions";
    list.style.left = `${box.left + window.scrollX}px`;
    list.style.top = `${box.bottom + window.scrollY}px`;
    list.style.width = `${Math.max(box.width, 220)}px`;
    if (isCombobox()) input.setAttribute("aria-expanded", "true");
    choose(-1);
  }

  function close() {
    list.hidden = true;
    if (isCombobox()) input.setAttribute("aria-expanded", "false");
    input?.removeAttribute("aria-activedescendant");
  }

  function choose(index) {
    const options = [...list.children];
    chosen = options.length ? Math.max(-1, Math.min(index, options.length - 1)) : -1;
    options.forEach((option, at) => option.setAttribute("aria-selected", String(at === chosen)));
    if (chosen < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", options[chosen].id);
    options[chosen].scrollIntoView({ block: "nearest" });
  }

  function accept(source) {
    const { start } = begun();
    const end = input.selectionStart + (input.value[input.selectionStart] === "}" ? 1 : 0);
    input.setRangeText(`\${Webhook::${source}}`, start, end, "end");
    input.dispatchEvent(new Event("input", { bubbles: true }));
    close();
  }

  root.addEventListener("focusin", (event) => {
    if (!event.target.matches?.("[data-completes]")) return;
    input = event.target;
    for (const [name, value] of [["aria-autocomplete", "list"], ["aria-haspopup", "listbox"], ["aria-controls", list.id]]) {
      input.setAttribute(name, value);
    }
    if (isCombobox()) input.setAttribute("role", "combobox");
    open();
  });
  root.addEventListener("input", (event) => {
    if (event.target === input) open();
  });
  root.addEventListener("focusout", () => setTimeout(() => document.activeElement === input || close(), 150));
  root.addEventListener("keydown", (event) => {
    if (event.target !== input || list.hidden) return;
    const act = {
      ArrowDown: () => choose(chosen + 1),
      ArrowUp: () => choose(chosen - 1),
      Escape: close,
      Enter: chosen < 0 ? null : () => accept(list.children[chosen].dataset.source),
      Tab: chosen < 0 ? null : () => accept(list.children[chosen].dataset.source),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  list.addEventListener("mousedown", (event) => {
    const option = event.target.closest("li");
    event.preventDefault();
    if (option) accept(option.dataset.source);
  });
}
