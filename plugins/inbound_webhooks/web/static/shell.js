// The pages inside of Airflow's own window, which has the same origin: its title follows the page, and on a Dag's tab
// every way back to the list leads to the list of that Dag.
const DAG_TAB = /\/dags\/([^/]+)\/plugin\/webhooks-of-dag/;

export function shell() {
  if (window.top === window) return;
  title();
  const [, dag] = DAG_TAB.exec(window.top.location.pathname) ?? [];
  if (dag) stayOnTab(new URL(`dag/${dag}`, new URL(document.body.dataset.home, location.href)));
}

function title() {
  const outer = window.top.document;
  const before = outer.title;
  const ours = `${document.title} - Airflow`;
  outer.title = ours;
  // Airflow removes the frame when the user goes on, and does not name all of its own pages.
  window.addEventListener("pagehide", () => {
    if (outer.title === ours) outer.title = before;
  });
}

function stayOnTab(list) {
  const home = new URL(document.body.dataset.home, location.href);
  // A link that was clicked before this script had run.
  if (location.pathname === home.pathname) return location.replace(list.href);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (link && link.origin === home.origin && link.pathname === home.pathname) link.href = list.href;
  }, true);
  // The server returns to this page where the one that a form was sent from is gone.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.elements.home) return;
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "home", value: list.pathname }));
  }, true);
}
