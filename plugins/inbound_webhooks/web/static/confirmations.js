// Destructive buttons ask for a confirmation in a dialog; without scripts, the server asks on a page of its own.
const MOST_NAMED = 10;

export function confirmations() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-confirm]");
    if (!button || !button.form) return;
    event.preventDefault();
    if (!(await ask(question(button), button.textContent.trim() || button.title))) return;
    const form = button.form;
    if (!form.elements.confirmed) {
      form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "confirmed", value: "1" }));
    }
    form.requestSubmit(button);
  });
}

// Whether the user agrees; `yes` is the text of the button that does.
export function ask(text, yes) {
  const dialog = document.getElementById("confirm");
  // Airflow's own links outside of the frame can be clicked while it is open.
  if (dialog.open) return Promise.resolve(false);
  document.getElementById("confirm-question").textContent = text;
  dialog.querySelector('[value="yes"]').textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  window.focus();
  return new Promise((answer) => {
    dialog.onclose = () => answer(dialog.returnValue === "yes");
  });
}

// What is selected in the list is named, as far as the dialog has room.
function question(button) {
  const named = button.dataset.confirmNamed;
  const names = [...button.form.elements].filter((box) => box.name === "id" && box.checked).map((box) => box.dataset.name);
  if (!named || !names.length) return button.dataset.confirm;
  const others = names.length - MOST_NAMED;
  if (others > 1) names.splice(MOST_NAMED, others, `${others} others`);
  const last = names.pop();
  return named.replace("{names}", names.length ? `${names.join(", ")} and ${last}` : last);
}
