// Airflow's users as owners and as recipients of notifications; the server names none without the right to read them.
import { getJson } from "./fetching.js";
import { later, make } from "./elements.js";
import { suggestions } from "./suggestions.js";

const TYPING_MILLISECONDS = 150;
const FEWEST = 2;
const ADDRESS = /[^\s,;]*$/;

export function people() {
  for (const input of document.querySelectorAll("[data-users]")) {
    const list = document.getElementById(input.getAttribute("list"));
    const suggest = later(TYPING_MILLISECONDS, async () => {
      const found = await usersOf(input.dataset.users, input.value);
      list.replaceChildren(...found.map(({ name, full_name }) => make("option", { value: name }, full_name)));
    });
    input.addEventListener("input", suggest);
    input.addEventListener("focus", suggest, { once: true });
  }
  suggestions("[data-recipients]", {
    id: "recipients",
    label: "Users",
    offer: async (input) => {
      const at = input.selectionStart;
      const [typed] = ADDRESS.exec(input.value.slice(0, at));
      if (typed.length < FEWEST) return null;
      const found = (await usersOf(input.dataset.recipients, typed)).filter(({ email }) => email && email !== typed);
      const options = found.map(({ full_name, email }) => ({ text: email, note: full_name, insert: email }));
      return { start: at - typed.length, end: at, options };
    },
  });
}

async function usersOf(url, text) {
  const response = await getJson(`${url}?text=${encodeURIComponent(text)}`);
  return response.ok ? response.data : [];
}
