// Suggestions below or above a field: a listbox that the keyboard and the pointer control (ARIA combobox).
import { make } from "./elements.js";

const MOST = 40;
const GAP = 2;
const NARROWEST = 220;

// offer(input) returns null or {start, end, options: [{text, note, insert}]}, or a promise of it; `start` and `end`
// are the part of the value that a chosen option replaces.
export function suggestions(selector, { id, label, offer }) {
  const list = make("ul", { class: "completions", role: "listbox", id, "aria-label": label });
  list.hidden = true;
  document.body.append(list);
  let input = null;
  let offered = null;
  let chosen = -1;
  let wasTyped = false;
  let round = 0;

  // A text area keeps the role of a text box, for which ARIA has no expanded state.
  const isCombobox = () => input?.tagName === "INPUT";

  async function open() {
    const mine = ++round;
    const found = await offer(input);
    if (mine !== round || document.activeElement !== input) return;
    offered = found?.options.length ? found : null;
    if (!offered) return close();
    list.replaceChildren(...offered.options.slice(0, MOST).map(({ text, note }, index) =>
      make("li", { role: "option", id: `${id}-${index}`, "data-index": index }, text, note ? make("span", {}, note) : null)));
    list.hidden = false;
    place();
    if (isCombobox()) input.setAttribute("aria-expanded", "true");
    choose(-1);
  }

  // Above the field where the list would end below the window and there is more room above. A hint below the field
  // stays in sight.
  function place() {
    const box = input.getBoundingClientRect();
    const hint = input.closest("td, .field")?.querySelector("[data-meant]:not([hidden])");
    const bottom = Math.max(box.bottom, hint?.getBoundingClientRect().bottom ?? 0);
    const below = window.innerHeight - bottom;
    const room = Math.max(below, box.top) - 2 * GAP;
    list.style.maxHeight = `${Math.min(260, room)}px`;
    list.style.width = `${Math.min(Math.max(box.width, NARROWEST), document.documentElement.clientWidth - 2 * GAP)}px`;
    const isAbove = list.offsetHeight + GAP > below && box.top > below;
    const left = Math.min(box.left, document.documentElement.clientWidth - list.offsetWidth - GAP);
    list.style.left = `${Math.max(left, GAP) + window.scrollX}px`;
    list.style.top = `${(isAbove ? box.top - list.offsetHeight - GAP : bottom + GAP) + window.scrollY}px`;
  }

  function close() {
    round += 1;
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

  function accept(index) {
    const { start, end, options } = offered;
    input.setRangeText(options[index].insert, start, end, "end");
    wasTyped = false;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    close();
  }

  // What appears or disappears above the field moves it.
  new ResizeObserver(() => list.hidden || place()).observe(document.body);
  document.addEventListener("focusin", (event) => {
    if (!event.target.matches?.(selector)) return;
    input = event.target;
    wasTyped = false;
    for (const [name, value] of [["aria-autocomplete", "list"], ["aria-haspopup", "listbox"], ["aria-controls", id]]) {
      input.setAttribute(name, value);
    }
    if (isCombobox()) input.setAttribute("role", "combobox");
    open();
  });
  document.addEventListener("input", (event) => {
    if (event.target !== input) return;
    // A value that a click elsewhere has written is complete.
    if (!event.isTrusted) return close();
    wasTyped = true;
    open();
  });
  document.addEventListener("focusout", () => setTimeout(() => document.activeElement === input || close(), 150));
  document.addEventListener("keydown", (event) => {
    if (event.target !== input || list.hidden || event.ctrlKey || event.metaKey) return;
    // A list that only the focus has opened takes neither Enter nor Tab before an option was chosen.
    const accepted = chosen >= 0 ? chosen : wasTyped && event.key === "Enter" ? 0 : -1;
    const act = {
      ArrowDown: () => choose(chosen + 1),
      ArrowUp: () => choose(chosen - 1),
      Escape: close,
      Enter: accepted < 0 ? null : () => accept(accepted),
      Tab: chosen < 0 ? null : () => accept(chosen),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  list.addEventListener("mousedown", (event) => {
    const option = event.target.closest("li");
    event.preventDefault();
    if (option) accept(Number(option.dataset.index));
  });
}
