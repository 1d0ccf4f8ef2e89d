// Try it: previews a generated, pasted or stored request with the form as typed.
import { getJson, postForm } from "./fetching.js";
import { make } from "./elements.js";
import { showProblems } from "./editor.js";
import { absolute } from "./times.js";

const JSON_TYPE = "Content-Type: application/json";
const FORM_TYPE = "Content-Type: application/x-www-form-urlencoded";
const EXPRESSION = /\$\{Webhook::(Body|Headers|Query)((?:\.[\w-]+|\[\d+\]|\["[^"]+"\])+)\}/g;

export function preview() {
  const panel = document.querySelector("[data-try]");
  if (!panel) return;
  const form = document.getElementById("definition");
  const field = (name) => document.getElementById(`try-${name}`);
  const set = (values) => {
    for (const [name, value] of Object.entries({ method: "POST", query: "", headers: JSON_TYPE, body: "", ...values })) {
      field(name).value = value;
    }
  };

  const samples = {
    mapping: () => set(generatedRequest(form)),
    json: () => set({ body: "{}" }),
    form: () => set({ headers: FORM_TYPE, body: "order=42&customer=Ada" }),
    verify: () => set({ method: "GET", headers: "", query: "challenge=1234" }),
  };

  async function pick() {
    const chosen = field("sample").value;
    panel.touched = false;
    if (samples[chosen]) return samples[chosen]();
    const response = await getJson(panel.dataset.sample.replace("ID", chosen));
    if (!response.ok || response.data.body === null) return report(response.data.error ?? "The body of this delivery is not text. Choose another one.");
    set(response.data);
  }

  // A generated request follows the mapping until the user edits it.
  const follow = () => field("sample").value === "mapping" && !panel.touched && samples.mapping();

  async function run() {
    follow();
    const data = new FormData(form);
    for (const name of ["method", "query", "headers", "body"]) data.set(`try_${name}`, field(name).value);
    const response = await postForm(panel.dataset.try, data).catch(() => ({ data: { error: "The server did not respond. Try again." } }));
    showProblems(form, response.data.problems ?? {});
    if (response.ok) return show(response.data);
    report(response.data.problems ? "Correct the marked fields first." : response.data.error);
  }

  field("sample").addEventListener("change", pick);
  document.getElementById("try-now").addEventListener("click", run);
  form.addEventListener("change", follow);
  field("body").addEventListener("input", () => (panel.touched = true));
  samples.mapping();
  if (panel.dataset.deliveries) pastDeliveries(panel, field("sample"));
  if (location.hash === "#try") field("body").focus();
}

async function pastDeliveries(panel, select) {
  const response = await getJson(panel.dataset.deliveries);
  if (!response.ok || !response.data.length) return;
  const options = response.data.map(({ id, state, at }) => make("option", { value: id }, `${absolute(at)}, ${state}`));
  select.append(make("optgroup", { label: "Past deliveries" }, ...options));
}

function report(text) {
  document.getElementById("preview").replaceChildren(make("p", { class: "note bad" }, text));
}

function show(outcome) {
  const parts = [
    make("p", { class: "preview-response" }, make("span", { class: `badge ${outcome.tone}` }, outcome.state), " ", outcome.state_help),
  ];
  if (outcome.error) parts.push(make("p", { class: "note bad" }, outcome.error));
  if (outcome.note) parts.push(make("p", { class: "note warn" }, outcome.note));
  if (outcome.conf !== null) parts.push(make("h3", {}, "Conf"), make("pre", { tabindex: "0" }, outcome.conf_text));
  parts.push(make("h3", {}, `Response ${outcome.status}`), make("p", { class: "help" }, outcome.content_type),
    make("pre", { tabindex: "0" }, outcome.body || "(empty)"));
  document.getElementById("preview").replaceChildren(...parts);
}

// A request with a value for every path that an expression names.
function generatedRequest(form) {
  const body = {};
  const headers = new Map([["Content-Type", "application/json"]]);
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll("[data-completes]")) {
    for (const [, source, path] of input.value.matchAll(EXPRESSION)) {
      const steps = [...path.matchAll(/\.([\w-]+)|\[(\d+)\]|\["([^"]+)"\]/g)].map(([, name, index, quoted]) => name ?? quoted ?? Number(index));
      if (source === "Body") put(body, steps, valueFor(input, steps.at(-1)));
      else if (source === "Headers") headers.set(String(steps[0]), "example");
      else query.set(String(steps[0]), "example");
    }
  }
  return {
    body: JSON.stringify(body, null, 2),
    headers: [...headers].map(([name, value]) => `${name}: ${value}`).join("\n"),
    query: query.toString(),
  };
}

function valueFor(input, name) {
  const types = input.closest("tr")?.querySelector(".param .muted")?.textContent ?? "";
  if (/integer|number/.test(types)) return 1;
  if (types.startsWith("boolean")) return true;
  if (types.startsWith("array")) return [];
  if (types.startsWith("object")) return {};
  return `example ${String(name)}`;
}

function put(target, steps, value) {
  let place = target;
  steps.forEach((step, index) => {
    const isLast = index === steps.length - 1;
    const next = isLast ? value : typeof steps[index + 1] === "number" ? [] : {};
    if (isLast) place[step] ??= next;
    else place = typeof place[step] === "object" && place[step] !== null ? place[step] : (place[step] = next);
  });
}
