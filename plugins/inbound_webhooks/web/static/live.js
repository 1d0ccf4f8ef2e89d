// Polls for new deliveries and for new states of the unfinished ones, so that the page needs no reload.
import { getJson } from "./fetching.js";

const EVERY_MILLISECONDS = 2000;
const MOST_ROWS = 100;

export function live() {
  const table = document.querySelector("[data-live]");
  if (!table) return;
  const body = table.tBodies[0];
  const rowOf = (id) => body.querySelector(`tr[data-id="${CSS.escape(id)}"]`);

  async function poll() {
    if (document.hidden) return;
    const url = new URL(table.dataset.live, location.href);
    const newest = body.rows[0]?.dataset.id;
    if (newest) url.searchParams.set("after", newest);
    const open = [...body.querySelectorAll("tr[data-open]")].map((row) => row.dataset.id);
    if (open.length) url.searchParams.set("open", open.slice(0, 25).join(","));
    const response = await getJson(url);
    if (response.ok) for (const item of response.data.reverse()) put(item);
  }

  function put(item) {
    let row = rowOf(item.id);
    if (!row) {
      row = document.createElement("tr");
      row.dataset.id = item.id;
      row.className = "arrived";
      body.prepend(row);
      table.hidden = false;
      document.querySelector("[data-until-live]")?.remove();
      while (body.rows.length > MOST_ROWS) body.lastElementChild.remove();
    }
    row.toggleAttribute("data-open", item.open);
    // The server renders the row with the template of the page itself, which escapes every value.
    if (row.shown !== item.html && !row.contains(document.activeElement)) {
      row.innerHTML = item.html;
      row.shown = item.html;
    }
  }

  (async function loop() {
    for (;;) {
      await new Promise((done) => setTimeout(done, EVERY_MILLISECONDS));
      try {
        await poll();
      } catch {
        // The server may be restarting: the next poll tries again.
      }
    }
  })();
}
