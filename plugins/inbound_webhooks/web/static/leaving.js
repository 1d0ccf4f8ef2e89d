// An edited form is not left by accident: neither by a link, nor by another form of the page, nor by closing it.
import { ask } from "./confirmations.js";

const QUESTION = "Leave without saving? Your changes to the form will be lost.";

// Returns a function to call when the form has been saved.
export function guardAgainstLeaving(form) {
  const values = () => JSON.stringify([...new FormData(form)].filter(([name]) => name !== "csrf_token"));
  let saved = values();
  const isEdited = () => values() !== saved;
  const leave = () => (saved = values());

  const warn = (event) => isEdited() && event.preventDefault();
  const followed = (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || event.defaultPrevented || opensElsewhere(link, event) || !isEdited()) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    // Airflow removes the entries of a menu when it closes; a link that is removed still leads to its page.
    askFirst(() => link.click());
  };
  // Airflow's window as well: its frame forbids dialogs of the browser, and its own links (side bar, tabs of a Dag)
  // replace the frame without unloading the window.
  for (const target of new Set([window, window.top])) {
    const { document: page } = target;
    target.addEventListener("beforeunload", warn);
    page.addEventListener("click", followed, true);
    window.addEventListener("pagehide", () => {
      target.removeEventListener("beforeunload", warn);
      page.removeEventListener("click", followed, true);
    });
  }
  document.addEventListener("submit", (event) => {
    if (event.target === form || event.target.method !== "post" || !isEdited()) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    askFirst(() => event.target.requestSubmit(event.submitter));
  }, true);

  async function askFirst(act) {
    if (!(await ask(QUESTION, "Leave"))) return;
    leave();
    act();
  }

  return leave;
}

function opensElsewhere(link, event) {
  const isHere = link.getAttribute("href").startsWith("#");
  return isHere || link.target === "_blank" || event.ctrlKey || event.metaKey || event.shiftKey;
}
