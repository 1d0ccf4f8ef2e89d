// Buttons that copy a text to the clipboard and confirm it.
import { getJson } from "./fetching.js";

const CONFIRMED_MILLISECONDS = 1600;

export function copyButtons() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy], [data-copy-from]");
    if (!button) return;
    let text = null;
    if (button.dataset.copyFrom) {
      const response = await getJson(button.dataset.copyFrom);
      text = response.ok ? response.data.url ?? response.data.text : null;
    } else {
      const source = document.querySelector(button.dataset.copy);
      text = source.value ?? source.textContent;
    }
    acknowledge(button, text !== null && (await copy(text)) ? "Copied" : "Copy failed");
  });
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

// Browsers deny the clipboard API to pages that were loaded over plain HTTP.
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

function acknowledge(button, word) {
  button.face ??= [...button.childNodes];
  button.style.minWidth = `${button.offsetWidth}px`;
  button.replaceChildren(button.classList.contains("icon") ? (word === "Copied" ? "✓" : "✗") : word);
  document.querySelector("[data-copied]").textContent = word;
  clearTimeout(button.timer);
  button.timer = setTimeout(() => {
    button.replaceChildren(...button.face);
    document.querySelector("[data-copied]").textContent = "";
  }, CONFIRMED_MILLISECONDS);
}
