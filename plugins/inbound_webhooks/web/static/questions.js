// What destroys something asks first; without a script the server asks.
export function questions() {
  const dialog = document.getElementById("sure");
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-sure]");
    if (!button || !button.form) return;
    event.preventDefault();
    const form = button.form;
    document.getElementById("sure-question").textContent = button.dataset.sure;
    dialog.querySelector('[value="yes"]').textContent = button.textContent.trim() || button.title;
    dialog.returnValue = "no";
    dialog.onclose = () => {
      if (dialog.returnValue !== "yes") return;
      if (!form.elements.sure) {
        const sure = Object.assign(document.createElement("input"), { type: "hidden", name: "sure", value: "1" });
        form.append(sure);
      }
      form.requestSubmit(button);
    };
    dialog.showModal();
  });
}
