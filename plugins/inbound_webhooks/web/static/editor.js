// The form of a webhook: selecting a sender fills it, a Dag adds its parameters, problems appear beside the fields.
import { completion } from "./completion.js";
import { ask } from "./confirmations.js";
import { getJson, postForm } from "./fetching.js";
import { later, make } from "./elements.js";
import { eventPicker } from "./events.js";
import { guardAgainstLeaving } from "./leaving.js";
import { meantExpressions, meantHint } from "./meant.js";
import { fieldsOfEvent } from "./mapping.js";
import { parameterSearch } from "./parameter_search.js";
import { people } from "./people.js";

const TYPING_MILLISECONDS = 350;
const SECRET_BYTES = 32;

export function editor() {
  const form = document.getElementById("definition");
  const rows = document.getElementById("lines");
  if (!form || !form.querySelector("[value=save]")) return;
  let received = [];
  completion(() => (received.length ? received : fieldsOfEvent()));
  if (rows.dataset.fields) getJson(rows.dataset.fields).then((response) => response.ok && (received = response.data));
  const showRows = parameterSearch(rows);
  senders(form, rows);
  parameters(form, rows, showRows);
  people();
  meantExpressions(form);
  randomSecrets();
  rotation();
  jumps(form);
  keys(form);
  saving(form, guardAgainstLeaving(form), showRows);
}

// --- saving -----------------------------------------------------------------------------------

function saving(form, saved, showRows) {
  const status = form.querySelector("[data-saving]");
  const button = form.querySelector("[value=save]");

  async function save(submitter, more = {}) {
    button.disabled = true;
    status.textContent = "Saving…";
    const data = new FormData(form, submitter);
    for (const [name, value] of Object.entries(more)) data.set(name, value);
    // Not form.action: the buttons are named "action" and shadow it.
    const response = await postForm(form.getAttribute("action"), data).catch(() => ({ data: {} }));
    if (response.ok) {
      saved();
      return location.assign(response.data.location);
    }
    button.disabled = false;
    if (response.data.question) return confirm(submitter, response.data);
    const problems = response.data.problems ?? { "": [response.data.error ?? "The server did not respond. Nothing was saved; try again."] };
    status.textContent = "Not saved: correct the marked fields.";
    showProblems(form, problems);
    showRows();
  }

  // The server asks before it saves what may be a mistake; the field named in its question confirms it.
  async function confirm(submitter, { question, field }) {
    status.textContent = "Not saved.";
    if (await ask(question, "Save anyway")) await save(submitter, { [field]: "1" });
    else form.elements.dag_id.focus();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    save(event.submitter);
  });
}

// Only the button and Ctrl+Enter (Cmd on macOS) save: Enter in a field may be meant for a completion.
function keys(form) {
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      form.requestSubmit(form.querySelector("[value=save]"));
    } else if (event.target.matches("input")) {
      event.preventDefault();
    }
  });
}

function jumps(form) {
  form.addEventListener("click", (event) => {
    const link = event.target.closest(".jump a");
    const section = link && document.querySelector(link.getAttribute("href"));
    if (section?.matches("details")) section.open = true;
  });
}

export function showProblems(form, problems) {
  for (const place of form.querySelectorAll("[data-problem]")) {
    const messages = problems[place.dataset.problem] ?? [];
    place.textContent = messages.join(" ");
    place.hidden = !messages.length;
    const input = place.parentElement.querySelector("input:not([type=hidden]), select, textarea");
    if (place.dataset.problem && input) input.setAttribute("aria-invalid", String(messages.length > 0));
    if (messages.length) for (let around = place.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
  }
  const unplaced = Object.entries(problems).filter(([name]) => !form.querySelector(`[data-problem="${CSS.escape(name)}"]`));
  if (unplaced.length) {
    const whole = form.querySelector('[data-problem=""]');
    whole.textContent = unplaced.map(([name, messages]) => `${name}: ${messages.join(" ")}`).join(" ");
    whole.hidden = false;
  }
  const first = form.querySelector('[aria-invalid="true"]') ?? form.querySelector('[data-problem=""]:not([hidden])');
  first?.scrollIntoView({ block: "center", behavior: "smooth" });
  first?.focus({ preventScroll: true });
}

// --- the sender -------------------------------------------------------------------------------

function senders(form, rows) {
  const select = form.elements.preset;
  const showEvents = eventPicker(form);
  const show = async (fill) => {
    const name = select.value;
    const response = name ? await getJson(select.dataset.sender.replace("NAME", encodeURIComponent(name))) : null;
    const preset = response?.ok ? response.data : null;
    showExamples(form, rows, preset);
    showEvents(preset);
    if (!fill) return;
    showSteps(preset);
    showSecrets(preset);
    for (const box of form.querySelectorAll("[data-filled]")) {
      box.value = preset?.fields[box.name] ?? box.dataset.filled;
    }
    // As the server shows a stored webhook: event types to select from are no detail.
    const { event_type: eventType, filter } = form.elements;
    if (eventType.value || filter.value) filter.closest("details").open = true;
    form.elements.refresh_keys.checked = false;
  };
  select.addEventListener("change", () => show(true));
  // A sender that was chosen before this script ran has not filled the form yet.
  const rendered = select.querySelector("option[selected]")?.value ?? "";
  if (select.value) show(select.value !== rendered);
}

function showSteps(preset) {
  const place = document.getElementById("steps");
  if (!preset) return place.replaceChildren();
  const url = place.dataset.url || "the URL of this webhook, once it is created";
  const text = (step) => step.replaceAll("{url}", url).replaceAll("{secret}", "the secret below");
  place.replaceChildren(
    make("ol", { class: "steps" }, ...preset.steps.map((step) => make("li", {}, text(step)))),
    ...preset.notes.map((note) => make("p", { class: "help" }, note)),
    make("p", { class: "help" },
      make("a", { href: preset.documentation_url, target: "_blank", rel: "noopener noreferrer" }, "The vendor's documentation")),
  );
}

function showSecrets(preset) {
  const place = document.getElementById("secrets");
  const held = place.dataset.held.split(" ");
  place.replaceChildren(...(preset?.secrets ?? []).map((secret, index) => secretField(secret, index + 1, held)));
}

function secretField(secret, index, held) {
  const id = `secret-${index}`;
  const stored = held.includes(secret.purpose);
  const label = make("label", { for: id }, `${secret.label} `,
    secret.optional ? make("span", { class: "muted" }, "optional ") : null,
    stored ? make("span", { class: "badge good" }, "stored") : null);
  const input = make("input", {
    type: "password", id, name: `secret:${secret.purpose}`, autocomplete: "new-password", spellcheck: "false",
    "aria-describedby": `problem-secrets:${secret.purpose} help-${id}`,
  });
  const later = secret.chosen_here ? "" : document.getElementById("secrets").dataset.later;
  const button = secret.chosen_here ? make("button", { type: "button", "data-random": `#${id}` }, "Generate") : null;
  return make("div", { class: "field secret" }, label, make("div", { class: "copyable" }, input, button),
    make("p", { class: "problem", id: `problem-secrets:${secret.purpose}`, "data-problem": `secrets:${secret.purpose}`, hidden: true }),
    make("p", { class: "help", id: `help-${id}` }, `${secret.help}${stored ? " Leave it empty to keep the stored one." : later}`));
}

function randomSecrets() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-random]");
    if (!button) return;
    const bytes = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
    const input = document.querySelector(button.dataset.random);
    input.value = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    // Visible only now, to copy it to the sender: a saved secret is never shown again.
    input.type = "text";
    input.classList.add("mono");
    if (!button.nextElementSibling?.matches("[data-copy]")) {
      button.after(make("button", { type: "button", "data-copy": button.dataset.random }, "Copy"));
      button.parentElement.after(make("p", { class: "hint", role: "status" }, "Copy it to the sender now: once saved, it is never shown again."));
    }
    input.select();
  });
}

function showExamples(form, rows, preset) {
  const button = document.getElementById("use-example");
  const example = Object.entries(preset?.mapping_example ?? {});
  button.hidden = !example.length;
  button.onclick = () => {
    for (const [name, expression] of example) setLine(rows, name, expression);
    dropEmptyLine(rows);
    rows.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const hint = document.getElementById("filter-example");
  hint.hidden = !preset?.filter_example;
  const use = make("button", { type: "button", class: "quiet" }, "Use it");
  use.onclick = () => {
    form.elements.filter.value = preset.filter_example;
    form.elements.filter.dispatchEvent(new Event("input", { bubbles: true }));
  };
  hint.replaceChildren("Example: ", make("code", {}, preset?.filter_example ?? ""), " ", use);
}

// --- parameters -------------------------------------------------------------------------------

function parameters(form, rows, showRows) {
  document.getElementById("add-line").addEventListener("click", () => {
    const row = lineRow({ name: "" });
    rows.append(row);
    row.querySelector("[data-name]").focus();
  });
  rows.addEventListener("input", (event) => {
    if (!event.target.matches("[data-name]")) return;
    const row = event.target.closest("tr");
    row.querySelector(".problem").dataset.problem = `mapping:${event.target.value.trim()}`;
  });
  const dag = form.elements.dag_id;
  // The server has rendered the parameters of this one; another may have been typed before this script ran.
  let shown = dag.defaultValue.trim();
  const load = later(TYPING_MILLISECONDS, async () => {
    const id = dag.value.trim();
    if (id === shown) return;
    const response = await getJson(`${dag.dataset.params}?dag=${encodeURIComponent(id)}`);
    if (!response.ok || dag.value.trim() !== id) return;
    shown = id;
    showParameters(rows, response.data);
    showRows();
  });
  dag.addEventListener("input", load);
  dag.addEventListener("change", load);
  load();
}

function showParameters(rows, params) {
  const typed = new Map();
  for (const row of rows.rows) {
    const expression = row.querySelector("[name=mapping_expression]").value;
    if (expression.trim()) typed.set(row.querySelector("[data-name]").value, expression);
  }
  const known = params.map((param) => lineRow(param, typed.get(param.name) ?? ""));
  const names = new Set(params.map((param) => param.name));
  const others = [...typed].filter(([name]) => !names.has(name)).map(([name, text]) => lineRow({ name, own: true }, text));
  rows.replaceChildren(...known, ...others);
  if (!rows.rows.length) rows.append(lineRow({ name: "" }));
}

function setLine(rows, name, expression) {
  const row = [...rows.rows].find((found) => found.querySelector("[data-name]").value === name);
  if (row) row.querySelector("[name=mapping_expression]").value ||= expression;
  else rows.append(lineRow({ name, own: true }, expression));
}

function dropEmptyLine(rows) {
  for (const row of [...rows.rows]) if (!row.querySelector("[data-name]").value) row.remove();
}

function lineRow(param, expression = "") {
  const isKnown = param.types !== undefined;
  const cell = make("td", { class: "param" });
  if (isKnown) {
    cell.append(
      make("input", { type: "hidden", name: "mapping_name", value: param.name, "data-name": true }),
      make("b", { class: "mono cut", title: param.name }, param.name, param.default === null ? requiredMark() : null),
      describe(param),
    );
    if (param.choices) cell.append(make("span", { class: "muted clamped", title: param.choices }, `one of ${param.choices}`));
    if (param.description) cell.append(make("span", { class: "help clamped", title: param.description }, param.description));
  } else {
    cell.append(make("input", {
      name: "mapping_name", value: param.name, class: "mono", "aria-label": "Parameter", "data-name": true,
    }));
  }
  return make("tr", { class: isKnown ? "line" : "line own" }, cell, make("td", { class: "expression" },
    make("input", {
      name: "mapping_expression", class: "mono", value: expression, autocomplete: "off", spellcheck: "false",
      "data-completes": true, "data-path": true, "aria-label": `Expression for ${param.name || "a parameter"}`,
    }),
    make("p", { class: "problem", "data-problem": `mapping:${param.name}`, hidden: true }), meantHint()));
}

function requiredMark() {
  return make("span", { class: "required", title: "required" },
    make("span", { "aria-hidden": "true" }, "*"), make("span", { class: "unseen" }, " (required)"));
}

function describe(param) {
  const line = make("span", { class: "muted" }, param.types);
  if (param.types) line.append(", ");
  if (param.default === null) line.append(make("strong", {}, "required"));
  else line.append("default ", make("code", { class: "cut", title: param.default }, param.default));
  return line;
}

// --- rotation ---------------------------------------------------------------------------------

function rotation() {
  const what = document.querySelector("[data-rotates]");
  const value = document.querySelector("[data-rotates-secret]");
  if (!what || !value) return;
  const update = () => {
    value.hidden = !what.value;
  };
  what.addEventListener("change", update);
  update();
}
