// A request as a tree: folding, keys as in the ARIA pattern for trees, and a click that picks a path.
// Handlers of the event `tree-pick` call preventDefault; without one, the expression is copied.
import { copy } from "./copy.js";
import { toast } from "./toasts.js";

const TYPING_MILLISECONDS = 700;
const WORTH_A_SEARCH = 10;
const folded = new Map();

export function trees() {
  document.addEventListener("click", (event) => {
    const item = event.target.closest?.("[role=treeitem]");
    if (!item || !event.target.closest(".node")) return;
    focusItem(item);
    if (event.target.closest(".twist") || !item.dataset.source) fold(item, !isOpen(item));
    else pick(item);
  });
  // The focus stays in the field that takes the path.
  document.addEventListener("mousedown", (event) => {
    if (event.target.closest?.("[role=tree] .node")) event.preventDefault();
  });
  document.addEventListener("keydown", keys);
  document.addEventListener("focusin", (event) => {
    if (event.target.matches?.("[role=treeitem]")) stop(event.target);
  });
  document.body.addEventListener("htmx:afterSwap", () => prepare());
  document.addEventListener("input", (event) => event.target.matches?.("[data-tree-search]") && search(event.target));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.matches?.("[data-tree-search]")) return;
    event.preventDefault();
    next(event.target, event.shiftKey ? -1 : 1);
  });
  prepare();
}

// The server renders what is open at first; what the user folded since then stays.
function prepare() {
  for (const tree of document.querySelectorAll("[role=tree]")) {
    for (const item of tree.querySelectorAll("[aria-expanded]")) {
      const open = folded.get(keyOf(item));
      if (open !== undefined) item.setAttribute("aria-expanded", String(open));
    }
    const isLong = tree.querySelectorAll("[role=treeitem]").length >= WORTH_A_SEARCH;
    for (const box of document.querySelectorAll(`[data-tree-search="${tree.id}"]`)) box.hidden = !isLong;
    if (!tree.querySelector('[tabindex="0"]')) tree.querySelector("[role=treeitem]")?.setAttribute("tabindex", "0");
  }
}

const keyOf = (item) => `${item.closest("[role=tree]").id} ${item.dataset.source ?? item.dataset.name}`;
const isOpen = (item) => item.getAttribute("aria-expanded") === "true";

function fold(item, open) {
  if (!item.hasAttribute("aria-expanded")) return;
  item.setAttribute("aria-expanded", String(open));
  folded.set(keyOf(item), open);
}

function pick(item) {
  const { source, name } = item.dataset;
  if (!source) return;
  const picked = new CustomEvent("tree-pick", { bubbles: true, cancelable: true, detail: { source, name } });
  if (!item.dispatchEvent(picked)) return;
  const expression = `\${Webhook::${source}}`;
  copy(expression).then((done) => toast(done ? { text: `Copied ${expression}` } : { text: "Copy failed", tone: "bad" }));
}

// --- search -----------------------------------------------------------------------------------

// Names and values that have the text are marked, and the branches above them open; Enter goes to the next one.
function search(box) {
  const tree = document.getElementById(box.dataset.treeSearch);
  const text = box.value.trim().toLowerCase();
  for (const item of tree.querySelectorAll(".found, .current")) item.classList.remove("found", "current");
  const found = text ? [...tree.querySelectorAll("[role=treeitem]")].filter((item) => has(item, text)) : [];
  for (const item of found) {
    item.classList.add("found");
    for (let above = parentOf(item); above; above = parentOf(above)) fold(above, true);
  }
  next(box, 0);
  if (text && !found.length) status(box, tree.querySelector(".more") ? "Not in what is shown" : "Not found");
}

const has = (item, text) => item.querySelector(":scope > .node").textContent.toLowerCase().includes(text);
const parentOf = (item) => item.parentElement.closest("[role=treeitem]");
const status = (box, text) => (box.nextElementSibling.textContent = text);

function next(box, step) {
  const found = [...document.getElementById(box.dataset.treeSearch).querySelectorAll(".found")];
  const before = found.findIndex((item) => item.classList.contains("current"));
  const at = before < 0 ? 0 : (before + step + found.length) % found.length;
  found[before]?.classList.remove("current");
  found[at]?.classList.add("current");
  found[at]?.querySelector(":scope > .node").scrollIntoView({ block: "nearest" });
  status(box, found.length ? `${at + 1} of ${found.length}` : "");
}

// --- keys -------------------------------------------------------------------------------------

let typed = "";
let typedTimer = 0;

function keys(event) {
  const item = event.target.closest?.("[role=treeitem]");
  if (!item || event.target !== item || event.ctrlKey || event.metaKey || event.altKey) return;
  const items = visible(item.closest("[role=tree]"));
  const at = items.indexOf(item);
  const act = {
    ArrowDown: () => focusItem(items[at + 1]),
    ArrowUp: () => focusItem(items[at - 1]),
    Home: () => focusItem(items[0]),
    End: () => focusItem(items.at(-1)),
    ArrowRight: () => (isOpen(item) ? focusItem(childOf(item)) : fold(item, true)),
    ArrowLeft: () => (isOpen(item) ? fold(item, false) : focusItem(item.parentElement.closest("[role=treeitem]"))),
    Enter: () => (item.dataset.source ? pick(item) : fold(item, !isOpen(item))),
    " ": () => (item.hasAttribute("aria-expanded") ? fold(item, !isOpen(item)) : pick(item)),
    "*": () => [...item.parentElement.children].forEach((sibling) => fold(sibling, true)),
  }[event.key];
  if (act) {
    event.preventDefault();
    return act();
  }
  if (event.key.length === 1) find(items, at, event.key);
}

function find(items, at, key) {
  clearTimeout(typedTimer);
  typed += key.toLowerCase();
  typedTimer = setTimeout(() => (typed = ""), TYPING_MILLISECONDS);
  const start = typed.length === 1 ? at + 1 : at;
  const order = [...items.slice(start), ...items.slice(0, start)];
  focusItem(order.find((item) => item.dataset.name.toLowerCase().startsWith(typed)));
}

function visible(tree) {
  return [...tree.querySelectorAll("[role=treeitem]")].filter((item) => !item.parentElement.closest('[aria-expanded="false"]'));
}

const childOf = (item) => item.querySelector(":scope > [role=group] > [role=treeitem]");

function focusItem(item) {
  if (!item) return;
  stop(item);
  // A field that takes the path keeps the focus.
  if (document.activeElement?.closest("[role=tree]")) item.focus();
}

// One item of a tree is a stop of the Tab key.
function stop(item) {
  for (const other of item.closest("[role=tree]").querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
  item.tabIndex = 0;
}
