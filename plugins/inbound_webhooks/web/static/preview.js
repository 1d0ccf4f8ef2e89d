// Try it: previews a generated, pasted or stored request with the form as typed.
import { getJson, postForm } from "./fetching.js";
import { later, make } from "./elements.js";
import { showProblems } from "./editor.js";
import { absolute } from "./times.js";

const JSON_TYPE = "Content-Type: application/json";
const TYPING_MILLISECONDS = 400;
const FORM_TYPE = "Content-Type: application/x-www-form-urlencoded";

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

  // The server knows the Dag's params and the sender's event; see deliveries/samples.py.
  let asked = 0;
  async function sampleEvent() {
    const number = ++asked;
    const response = await postForm(panel.dataset.sampleEvent, new FormData(form)).catch(() => ({ ok: false }));
    if (!response.ok || number !== asked || panel.touched || field("sample").value !== "mapping") return;
    const { method, query, headers, body } = response.data;
    set({ method, query, body, headers: headers.map((pair) => pair.join(": ")).join("\n") });
  }

  const samples = {
    mapping: sampleEvent,
    json: () => set({ body: "{}" }),
    form: () => set({ headers: FORM_TYPE, body: "order=42&customer=Ada" }),
    verify: () => set({ method: "GET", headers: "", query: "challenge=1234" }),
    captured: () => set(captured),
  };

  // What came while the page listens: the newest one is chosen, unless the user has edited the request.
  let captured = null;
  function takeCaptured() {
    const shown = document.querySelector("#listener [data-request]")?.dataset.request;
    if (!shown || shown === JSON.stringify(captured)) return;
    captured = JSON.parse(shown);
    document.getElementById("sample-event").open = false;
    if (!field("sample").querySelector("[value=captured]")) field("sample").prepend(make("option", { value: "captured" }, "The captured request"));
    if (panel.touched) return;
    field("sample").value = "captured";
    samples.captured();
  }

  async function pick() {
    const chosen = field("sample").value;
    panel.touched = false;
    if (samples[chosen]) return samples[chosen]();
    const response = await getJson(panel.dataset.sample.replace("ID", chosen));
    if (!response.ok || response.data.body === null) return report(response.data.error ?? "The body of this delivery is not text. Choose another one.");
    set(response.data);
  }

  // A generated request follows the mapping until the user edits it.
  const follow = async () => {
    if (field("sample").value === "mapping" && !panel.touched) await sampleEvent();
  };

  async function run() {
    await follow();
    const data = typed(new FormData(form));
    const response = await postForm(panel.dataset.try, data).catch(() => ({ data: { error: "The server did not respond. Try again." } }));
    showProblems(form, response.data.problems ?? {});
    if (response.ok) return show(response.data);
    report(response.data.problems ? "Correct the marked fields first." : response.data.error);
  }

  function typed(data) {
    for (const name of ["method", "query", "headers", "body"]) data.set(`try_${name}`, field(name).value);
    return data;
  }

  async function send() {
    await follow();
    const response = await postForm(panel.dataset.send, typed(new FormData())).catch(() => ({ data: { error: "The server did not respond. Try again." } }));
    if (!response.ok) return report(response.data.error);
    showSent(response.data);
  }

  document.getElementById("send-test")?.addEventListener("click", send);
  document.body.addEventListener("htmx:afterSwap", takeCaptured);
  field("sample").addEventListener("change", pick);
  document.getElementById("try-now").addEventListener("click", run);
  form.addEventListener("change", later(TYPING_MILLISECONDS, follow));
  field("body").addEventListener("input", () => (panel.touched = true));
  samples.mapping();
  takeCaptured();
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

// The page of the delivery shows what becomes of it.
function showSent({ status, body, note, location: page }) {
  if (page) return location.assign(page);
  const parts = [make("p", { class: "note bad" }, `The endpoint responded with ${status}; nothing was stored.`)];
  if (note) parts.push(make("p", { class: "note warn" }, note));
  parts.push(make("pre", { tabindex: "0" }, body || "(empty)"));
  document.getElementById("preview").replaceChildren(...parts);
}

function show(outcome) {
  const parts = [
    make("p", { class: "preview-response" }, make("span", { class: `badge ${outcome.tone}` }, outcome.state), " ", outcome.state_help),
  ];
  if (outcome.error) parts.push(make("p", { class: "note bad" }, outcome.error));
  if (outcome.note) parts.push(make("p", { class: "note warn" }, outcome.note));
  if (outcome.partition_key) parts.push(make("p", {}, `Partition key: ${outcome.partition_key}`));
  if (outcome.conf !== null) parts.push(make("h3", {}, "Conf"), make("pre", { tabindex: "0" }, outcome.conf_text));
  if (outcome.computed) parts.push(make("h3", {}, "Parameters as computed"), make("pre", { tabindex: "0" }, outcome.computed_text));
  if (outcome.schedule) parts.push(make("h3", {}, "Run"), make("pre", { tabindex: "0" }, outcome.schedule_text));
  parts.push(...routes(outcome.routes), ...children(outcome));
  parts.push(make("h3", {}, `Response ${outcome.status}`), make("p", { class: "help" }, outcome.content_type),
    make("pre", { tabindex: "0" }, outcome.body || "(empty)"));
  document.getElementById("preview").replaceChildren(...parts);
}

// What each route would make of the request, and why.
function routes(found) {
  if (!found.length) return [];
  const lines = found.map(({ webhook, words, reason }) => make("li", {}, make("strong", {}, webhook), `: ${words}`, reason ? ` (${reason})` : ""));
  return [make("h3", {}, "Routes"), make("ul", { class: "routes" }, ...lines)];
}

// The deliveries that the request would be split into.
function children({ children: found, children_total: total }) {
  if (!total) return [];
  const shown = found.map((child) => {
    const name = [child.route, child.item_index === null ? "" : `item ${child.item_index}`].filter(Boolean).join(", ");
    const more = child.error || (child.conf === null ? "" : JSON.stringify(child.conf));
    return make("li", {}, `${name} `, make("span", { class: `badge ${child.tone}` }, child.state), " ", make("code", {}, more));
  });
  const rest = total > found.length ? [make("p", { class: "help" }, `The first ${found.length} of ${total} are shown.`)] : [];
  return [make("h3", {}, total === 1 ? "1 delivery" : `${total} deliveries`), make("ul", { class: "children" }, ...shown), ...rest];
}
