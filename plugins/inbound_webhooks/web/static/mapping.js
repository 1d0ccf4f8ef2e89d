// Maps parameters by clicks: a value of the event's tree goes into the field that had the focus last.
const WHOLE = /^\s*\$\{Webhook::[^{}]*\}\s*$/;

export function mapping() {
  const form = document.getElementById("definition");
  if (!form || !document.getElementById("event")) return;
  let field = null;
  form.addEventListener("focusin", (event) => {
    if (event.target.matches("[data-completes]")) choose(event.target);
  });

  function choose(input) {
    field?.classList.remove("mapping-target");
    field = input;
    field.classList.add("mapping-target");
  }

  document.addEventListener("tree-pick", (event) => {
    event.preventDefault();
    const target = field?.isConnected ? field : firstEmpty(form);
    if (!target) return say("Select a parameter's field first.");
    choose(target);
    insert(target, event.detail.source);
    say(`Inserted ${event.detail.source}${nameOf(target)}.`);
  });

  document.getElementById("map-all").addEventListener("click", () => {
    const tree = document.querySelector("#event [role=tree]");
    if (!tree) return say("There is no event yet.");
    const sources = byName(tree);
    const open = rowsOf(form).filter(({ input }) => !input.value.trim());
    const mapped = open.filter(({ name, input }) => {
      const source = sources.get(plain(name));
      if (source) write(input, `\${Webhook::${source}}`);
      return source;
    });
    say(open.length ? `Mapped ${mapped.length} of ${open.length} parameters without an expression.` : "Every parameter has an expression.");
  });
}

// The paths of the event beside the form, for completions: `source` and the start of its value.
export function fieldsOfEvent() {
  const tree = document.querySelector("#event [role=tree]");
  const items = tree?.querySelectorAll("[role=treeitem] [role=treeitem][data-source]") ?? [];
  return [...items].map((item) => ({ source: item.dataset.source, value: item.querySelector(".value").textContent }));
}

function rowsOf(form) {
  return [...form.querySelectorAll("#lines tr")]
    .map((row) => ({ name: row.querySelector("[data-name]").value, input: row.querySelector("[name=mapping_expression]") }))
    .filter(({ name }) => name);
}

const firstEmpty = (form) => rowsOf(form).map(({ input }) => input).find((input) => !input.value.trim()) ?? null;

function nameOf(input) {
  const name = input.closest("tr")?.querySelector("[data-name]")?.value;
  return name ? ` for ${name}` : "";
}

// One path replaces another one; in a longer text it is inserted where the cursor is.
function insert(input, source) {
  const expression = input.name === "filter" ? jinja(source) : `\${Webhook::${source}}`;
  if (input.name !== "filter" && (!input.value.trim() || WHOLE.test(input.value))) return write(input, expression);
  input.setRangeText(expression, input.selectionStart ?? input.value.length, input.selectionEnd ?? input.value.length, "end");
  changed(input);
}

// A filter is one expression without braces: headers["X-Event"], body.items[0].id.
function jinja(source) {
  const [, name, path] = /^(Body|Headers|Query)([^]*)$/.exec(source);
  return name.toLowerCase() + path.replace(/\.([\w-]+)/g, (step, key) => (/^[A-Za-z_]\w*$/.test(key) ? step : `["${key}"]`));
}

function write(input, text) {
  input.value = text;
  changed(input);
}

function changed(input) {
  input.dispatchEvent(new Event("input", { bubbles: true }));
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

// Name without case and punctuation -> the first path of that name: upper levels first, the body first.
function byName(tree) {
  const items = [...tree.querySelectorAll("[role=treeitem][data-source]")].filter((item) => item.getAttribute("aria-level") > 1);
  const rank = (item) => ["Body", "Query", "Headers"].findIndex((source) => item.dataset.source.startsWith(source)) * 100 + Number(item.getAttribute("aria-level"));
  const found = new Map();
  for (const item of items.sort((one, other) => rank(one) - rank(other))) {
    const name = plain(item.dataset.name);
    if (name && !found.has(name)) found.set(name, item.dataset.source);
  }
  return found;
}

const plain = (name) => name.toLowerCase().replace(/[^a-z0-9]/g, "");

function say(text) {
  document.getElementById("mapped").textContent = text;
}
