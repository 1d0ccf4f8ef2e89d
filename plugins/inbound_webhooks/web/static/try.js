// Try it: the form as it is typed, over a request that is made up, pasted or picked.
import { getJson, postForm } from "./fetching.js";
import { make } from "./elements.js";
import { showProblems } from "./editor.js";

const JSON_TYPE = "Content-Type: application/json";
const FORM_TYPE = "Content-Type: application/x-www-form-urlencoded";
const EXPRESSION = /\$\{Webhook::(Body|Headers|Query)((?:\.[\w-]+|\[\d+\]|\["[^"]+"\])+)\}/g;

export function previewRequests() {
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
    mapping: () => set(madeUp(form)),
    json: () => set({ body: "{}" }),
    form: () => set({ headers: FORM_TYPE, body: "order=42&customer=Ada" }),
    verify: () => set({ method: "GET", headers: "", query: "challenge=1234" }),
  };

  async function pick() {
    const chosen = field("sample").value;
    panel.touched = false;
    if (samples[chosen]) return samples[chosen]();
    const answer = await getJson(panel.dataset.sample.replace("ID", chosen));
    if (!answer.ok || answer.data.body === null) return say(panel, answer.data.error ?? "Its body is not text.");
    set(answer.data);
  }

  // What was made up follows the parameters until somebody changes it.
  const follow = () => field("sample").value === "mapping" && !panel.touched && samples.mapping();

  async function run() {
    follow();
    const data = new FormData(form);
    for (const name of ["method", "query", "headers", "body"]) data.set(`try_${name}`, field(name).value);
    const answer = await postForm(panel.dataset.try, data).catch(() => ({ data: { error: "The server did not answer." } }));
    showProblems(form, answer.data.problems ?? {});
    if (answer.ok) return show(answer.data);
    say(panel, answer.data.problems ? "The form has mistakes, see what is marked." : answer.data.error);
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
  const answer = await getJson(panel.dataset.deliveries);
  if (!answer.ok || !answer.data.length) return;
  const options = answer.data.map(({ id, state, at }) => make("option", { value: id }, `${at}, ${state}`));
  select.append(make("optgroup", { label: "Past deliveries" }, ...options));
}

function say(panel, text) {
  document.getElementById("tried").replaceChildren(make("p", { class: "note bad" }, text));
}

function show(tried) {
  const parts = [
    make("p", { class: "tried-answer" }, make("span", { class: `badge ${tried.tone}` }, tried.state), " ", tried.explained),
  ];
  if (tried.error) parts.push(make("p", { class: "note bad" }, tried.error));
  if (tried.conf !== null) parts.push(make("h3", {}, "Conf"), make("pre", { tabindex: "0" }, tried.conf_text));
  parts.push(make("h3", {}, `Answer ${tried.status}`), make("p", { class: "help" }, tried.content_type),
    make("pre", { tabindex: "0" }, tried.body || "(empty)"));
  document.getElementById("tried").replaceChildren(...parts);
}

// A request that has a value for whatever the expressions ask for.
function madeUp(form) {
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
