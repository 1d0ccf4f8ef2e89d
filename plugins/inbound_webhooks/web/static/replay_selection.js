// Deliveries that are selected to be replayed: the buttons say how many, and a list that updates itself keeps them.
export function replaySelection() {
  const form = document.querySelector("[data-replay-selected]");
  if (!form) return;
  const boxes = () => [...document.querySelectorAll('input[name="delivery"]')];
  const status = form.querySelector("[data-selected]");
  const hint = status.textContent;

  function show() {
    const number = boxes().filter((box) => box.checked).length;
    const all = document.querySelector("[data-all-deliveries]");
    status.textContent = number ? `${number} selected` : hint;
    for (const button of form.querySelectorAll("button")) button.disabled = !number;
    const counted = form.querySelector("[data-counted]");
    counted.textContent = number ? `${counted.dataset.counted} ${number}` : counted.dataset.counted;
    form.classList.toggle("some", number > 0);
    if (!all) return;
    all.checked = number > 0 && number === boxes().length;
    all.indeterminate = number > 0 && number < boxes().length;
  }

  document.addEventListener("change", ({ target }) => {
    if (target.matches("[data-all-deliveries]")) for (const box of boxes()) box.checked = target.checked;
    if (target.matches('[data-all-deliveries], input[name="delivery"]')) show();
  });
  // The server knows nothing of the selection, so rows that it sends again get it back.
  let selected = new Set();
  document.body.addEventListener("htmx:beforeSwap", () => {
    selected = new Set(boxes().filter((box) => box.checked).map((box) => box.value));
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    for (const box of boxes()) box.checked = selected.has(box.value);
    show();
  });
  show();
}
