// A path whose braces were forgotten: the server knows which expression was meant, one click writes it.
import { getJson } from "./fetching.js";
import { later, make } from "./elements.js";

const TYPING_MILLISECONDS = 250;
// Which texts are worth a question; the server decides.
const MAY_BE_A_PATH = /^[\s{$]*(webhook::)?(body|headers|query|delivery)\b/i;

export function meantExpressions(form) {
  const ask = later(TYPING_MILLISECONDS, async (input) => {
    const text = input.value;
    const response = MAY_BE_A_PATH.test(text) ? await getJson(`${form.dataset.meant}?text=${encodeURIComponent(text)}`) : null;
    if (input.value === text) show(input, response?.ok ? response.data.meant : null);
  });
  form.addEventListener("input", (event) => event.target.matches("[data-path]") && ask(event.target));
  form.addEventListener("click", (event) => {
    const button = event.target.closest("[data-use]");
    if (!button) return;
    const input = button.closest("td, .field").querySelector("[data-path]");
    input.value = button.dataset.use;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    show(input, null);
    input.focus();
  });
}

export function meantHint() {
  return make("p", { class: "hint", "data-meant": true, role: "status", hidden: true },
    "This is plain text, not a value of the request. ",
    make("button", { type: "button", class: "link", "data-use": "" }, "Use ", make("code", {})));
}

function show(input, meant) {
  const hint = input.closest("td, .field").querySelector("[data-meant]");
  if (!hint) return;
  hint.hidden = !meant;
  hint.querySelector("[data-use]").dataset.use = meant ?? "";
  hint.querySelector("code").textContent = meant ?? "";
}
