// Destructive buttons ask for a confirmation in a dialog; without scripts, the server asks on a page of its own.
export function confirmations() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-confirm]");
    if (!button || !button.form) return;
    event.preventDefault();
    if (!(await ask(button.dataset.confirm, button.textContent.trim() || button.title))) return;
    const form = button.form;
    if (!form.elements.confirmed) {
      form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "confirmed", value: "1" }));
    }
    form.requestSubmit(button);
  });
}

// Whether the user agrees; `yes` is the text of the button that does.
export function ask(question, yes) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-question").textContent = question;
  dialog.querySelector('[value="yes"]').textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.onclose = () => answer(dialog.returnValue === "yes");
  });
}
