// Messages after an action. The server sends them with any response as an HX-Trigger event `toast`:
// {"text": …, "tone": "good" | "bad", "undo": {"url": …, "values": {…}, "target": selector}, "login": URL}
import { make } from "./elements.js";

const SHOWN_MILLISECONDS = 8000;
const MOST = 3;

export function toasts() {
  document.body.addEventListener("toast", (event) => toast(event.detail));
  for (const shown of document.querySelectorAll(".toast")) prepare(shown);
}

export function toast({ text, tone = "good", undo = null, login = null }) {
  const region = document.getElementById("toasts");
  // A failure that is repeated, as by each poll after the login has expired, is said once.
  const isKnown = [...region.children].some((shown) => shown.said === text);
  if (isKnown && tone === "bad") return;
  const element = make("p", { class: `toast ${tone}` }, text);
  if (undo) {
    const button = make("button", { type: "button", class: "quiet" }, "Undo");
    button.addEventListener("click", () => {
      element.remove();
      const request = { values: undo.values, target: undo.target, swap: "morph:outerHTML" };
      window.htmx.ajax("POST", undo.url, request).then(() => document.querySelector(`${undo.target} [role=switch]`)?.focus());
    });
    element.append(" ", button);
  }
  if (login) element.append(" ", make("a", { href: login, target: "_top", "data-login": true }, "Log in"));
  element.said = text;
  region.append(element);
  while (region.children.length > MOST) region.firstElementChild.remove();
  prepare(element);
}

// It stays while the pointer or the focus is on it (WCAG 2.2.1).
function prepare(element) {
  const close = make("button", { type: "button", class: "quiet close", "aria-label": "Close this message" }, "×");
  close.addEventListener("click", () => element.remove());
  element.append(close);
  const leave = () => {
    if (element.matches(":hover, :focus-within")) setTimeout(leave, SHOWN_MILLISECONDS / 4);
    else element.remove();
  };
  setTimeout(leave, SHOWN_MILLISECONDS);
}
