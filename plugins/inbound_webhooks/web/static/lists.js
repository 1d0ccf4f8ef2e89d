// The list: bulk selection, filters that apply immediately, suggestions of Dag ids while typing.
import { getJson } from "./fetching.js";
import { later, make } from "./elements.js";

const TYPING_MILLISECONDS = 150;

export function selection() {
  for (const select of document.querySelectorAll("[data-submits]")) {
    select.addEventListener("change", () => select.form.requestSubmit());
  }
  const bar = document.querySelector("[data-bulk]");
  if (!bar) return;
  const boxes = [...document.querySelectorAll('input[name="id"]')];
  const all = document.querySelector("[data-all]");
  const status = bar.querySelector(".selected");
  const total = status.textContent;
  const update = () => {
    const selected = boxes.filter((box) => box.checked).length;
    bar.classList.toggle("some", selected > 0);
    status.textContent = selected ? `${selected} selected` : total;
    all.checked = selected > 0 && selected === boxes.length;
    all.indeterminate = selected > 0 && selected < boxes.length;
  };
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    update();
  });
  all.disabled = !boxes.length;
  for (const box of boxes) box.addEventListener("change", update);
  update();
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
