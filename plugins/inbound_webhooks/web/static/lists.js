// The list: choosing several, selects that search at once, ids of DAGs while somebody types.
import { getJson } from "./fetching.js";
import { later, make } from "./elements.js";

const TYPING_MILLISECONDS = 150;

export function selection() {
  for (const select of document.querySelectorAll("[data-submits]")) {
    select.addEventListener("change", () => select.form.requestSubmit());
  }
  const bar = document.querySelector("[data-several]");
  if (!bar) return;
  const boxes = [...document.querySelectorAll('input[name="id"]')];
  const all = document.querySelector("[data-all]");
  const said = bar.querySelector(".chosen");
  const total = said.textContent;
  const update = () => {
    const chosen = boxes.filter((box) => box.checked).length;
    bar.classList.toggle("some", chosen > 0);
    said.textContent = chosen ? `${chosen} chosen` : total;
    all.checked = chosen > 0 && chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
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
      const answer = await getJson(`${input.dataset.dags}?text=${encodeURIComponent(input.value)}`);
      if (answer.ok) list.replaceChildren(...answer.data.map((id) => make("option", { value: id })));
    });
    input.addEventListener("input", suggest);
    input.addEventListener("focus", suggest, { once: true });
  }
}
