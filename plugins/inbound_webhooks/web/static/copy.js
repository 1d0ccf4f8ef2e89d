// Buttons that copy, and say so.
import { getJson } from "./fetching.js";

const SAID_MILLISECONDS = 1600;

export function copyButtons() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy], [data-copy-from]");
    if (!button) return;
    let text = null;
    if (button.dataset.copyFrom) {
      const answer = await getJson(button.dataset.copyFrom);
      text = answer.ok ? answer.data.url : null;
    } else {
      const source = document.querySelector(button.dataset.copy);
      text = source.value ?? source.textContent;
    }
    say(button, text !== null && (await copy(text)) ? "Copied" : "Not copied");
  });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

// Browsers keep the clipboard from pages that come over plain http.
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

function say(button, word) {
  button.face ??= [...button.childNodes];
  button.replaceChildren(button.classList.contains("icon") ? (word === "Copied" ? "✓" : "✗") : word);
  document.querySelector("[data-copied]").textContent = word;
  clearTimeout(button.timer);
  button.timer = setTimeout(() => {
    button.replaceChildren(...button.face);
    document.querySelector("[data-copied]").textContent = "";
  }, SAID_MILLISECONDS);
}
