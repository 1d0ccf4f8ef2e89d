// The list: bulk selection, filters that apply immediately, suggestions of Dag ids while typing.
import { getJson } from "./fetching.js";
import { later, make } from "./elements.js";
import { toast } from "./toasts.js";

const TYPING_MILLISECONDS = 150;

export function selection() {
  document.addEventListener("change", (event) => {
    const { target } = event;
    if (target.matches("[data-submits]")) target.form.requestSubmit();
    if (target.matches("[data-all]")) for (const box of boxes()) box.checked = target.checked;
    if (target.matches('[data-all], input[name="id"]')) showSelection();
  });
  // The server knows nothing of the selection, so rows that it sends again get it back.
  let selected = new Set();
  document.body.addEventListener("htmx:beforeSwap", () => {
    selected = new Set(boxes().filter((box) => box.checked).map((box) => box.value));
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    for (const box of boxes()) box.checked = selected.has(box.value);
    showSelection();
  });
  showSelection();
}

const boxes = () => [...document.querySelectorAll('input[name="id"]')];

function showSelection() {
  const bar = document.querySelector("[data-bulk]");
  if (!bar) return;
  const status = bar.querySelector(".selected");
  const all = document.querySelector("[data-all]");
  const number = boxes().length;
  const selected = boxes().filter((box) => box.checked).length;
  bar.classList.toggle("some", selected > 0);
  status.total ??= status.textContent;
  status.textContent = selected ? `${selected} selected` : status.total;
  if (!all) return; // the user may change none of them
  all.disabled = !number;
  all.checked = selected > 0 && selected === number;
  all.indeterminate = selected > 0 && selected < number;
}

// The browser stays on the page while it downloads, and a small file leaves no trace on it.
export function downloads() {
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-downloads]")) toast({ text: "Downloading the definition file…" });
  });
}

export function suggestDags() {
  for (const input of document.querySelectorAll("[data-dags]")) {
    const list = document.getElementById(input.getAttribute("list"));
    if (!list) continue;
    const suggest = later(TYPING_MILLISECONDS, async () => {
      const response = await getJson(`${input.dataset.dags}?text=${encodeURIComponent(input.value)}`);
      if (response.ok) list.replaceChildren(...response.data.map((id) => make("option", { value: id })));
    });
    input.addEventListener("input", suggest);
    input.addEventListener("focus", suggest, { once: true });
  }
}
