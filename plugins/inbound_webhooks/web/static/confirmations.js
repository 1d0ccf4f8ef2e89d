// Destructive buttons ask for a confirmation in a dialog; without scripts, the server asks on a page of its own.
export function confirmations() {
  const dialog = document.getElementById("confirm");
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-confirm]");
    if (!button || !button.form) return;
    event.preventDefault();
    const form = button.form;
    document.getElementById("confirm-question").textContent = button.dataset.confirm;
    dialog.querySelector('[value="yes"]').textContent = button.textContent.trim() || button.title;
    dialog.returnValue = "no";
    dialog.onclose = () => {
      if (dialog.returnValue !== "yes") return;
      if (!form.elements.confirmed) {
        form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "confirmed", value: "1" }));
      }
      form.requestSubmit(button);
    };
    dialog.showModal();
  });
}
