// The rules for htmx on all pages: what is hidden does not poll, and a request that fails says so.
import { toast } from "./toasts.js";

export function htmxRules() {
  let changes = 0;
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    if (!isPoll(event)) changes += 1;
    else if (document.hidden || !event.detail.elt.checkVisibility()) event.preventDefault();
    else event.detail.xhr.changesBefore = changes;
  });
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (!isPoll(event)) changes += 1;
  });
  document.body.addEventListener("htmx:beforeOnLoad", (event) => {
    const { xhr } = event.detail;
    // What was asked before a change ended may be from before it: a click on what it shows would be another one.
    if (isPoll(event) && xhr.changesBefore !== changes) event.preventDefault();
    // Without this, the message in the response's header would come again with each poll.
    if (isPoll(event) && xhr.status >= 400 && xhr.status !== 401) event.preventDefault();
  });
  // A fold is opened and closed by the reader alone.
  window.Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
    !(name === "open" && node instanceof HTMLDetailsElement);
  document.body.addEventListener("htmx:responseError", (event) => {
    // The server describes its own errors in an HX-Trigger header, see toasts.js.
    if (isPoll(event) || event.detail.xhr.getResponseHeader("HX-Trigger")) return;
    toast({ text: `The server responded with status ${event.detail.xhr.status}.`, tone: "bad" });
  });
  document.body.addEventListener("htmx:sendError", (event) => {
    if (!isPoll(event)) toast({ text: "Airflow cannot be reached. Try again.", tone: "bad" });
  });
}

// A poll that fails is repeated by itself: the server may be restarting.
function isPoll(event) {
  return /\bevery\b/.test(event.detail.elt?.getAttribute("hx-trigger") ?? "");
}
