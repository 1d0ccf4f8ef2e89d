// The back-test: which past deliveries the form as typed would change, and how.
import { postForm } from "./fetching.js";
import { make } from "./elements.js";
import { showProblems } from "./editor.js";
import { absolute } from "./times.js";

const LONG_CHARS = 400;

export function backTest() {
  const panel = document.querySelector("[data-backtest]");
  if (!panel) return;
  tabs(document.querySelector("[data-tabs]"));
  const form = document.getElementById("definition");
  const button = document.getElementById("past-now");
  const last = document.getElementById("past-last");
  const report = (text, className = "help") => {
    const place = document.getElementById("past-status");
    place.textContent = text;
    place.className = className;
  };
  let isShown = false;

  async function run() {
    const data = new FormData(form);
    data.set("backtest_last", last.value);
    button.disabled = true;
    report(`Judging the last ${last.value} deliveries…`);
    const response = await postForm(panel.dataset.backtest, data).catch(() => ({ data: { error: "The server did not respond. Try again." } }));
    button.disabled = false;
    showProblems(form, response.data.problems ?? {});
    isShown = response.ok;
    document.getElementById("judged").replaceChildren(...(response.ok ? results(panel, response.data) : []));
    if (response.ok) report(summary(response.data));
    else report(response.data.problems ? "Correct the marked fields first." : response.data.error, "note bad");
  }

  button.addEventListener("click", run);
  last.addEventListener("change", run);
  form.addEventListener("input", () => {
    if (!isShown) return;
    isShown = false;
    report("The form has changed since. Run the back-test again.", "note warn");
  });
}

// --- tabs ---------------------------------------------------------------------------------------

function tabs(list) {
  const all = [...list.querySelectorAll("[role=tab]")];
  const choose = (chosen) => {
    for (const tab of all) {
      const isChosen = tab === chosen;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !isChosen;
    }
    list.closest(".try").classList.toggle("wide", chosen.id === "tab-past");
  };
  for (const tab of all) tab.addEventListener("click", () => choose(tab));
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
    choose(next);
    next.focus();
  });
  if (location.hash === "#past") choose(document.getElementById("tab-past"));
}

// --- results ------------------------------------------------------------------------------------

function summary(test) {
  const judged = test.looked_at - test.not_judged;
  if (!test.looked_at) return "There are no deliveries yet.";
  const missing = test.not_judged ? ` ${test.not_judged} cannot be judged because the body is not stored.` : "";
  if (!judged) return missing.trim();
  if (!test.changed) return `None of ${judged} would change.${missing}`;
  const same = judged - test.changed;
  return `${test.changed} of ${judged} would change${same ? `, ${same} would not` : ""}.${missing}`;
}

function results(panel, test) {
  const items = test.deliveries.map((one) => delivery(panel, one));
  const more = test.more ? [make("p", { class: "help" }, `${test.more} more are not shown here. List them with: airflow webhooks try NAME --against-last N`)] : [];
  const list = make("ol", { class: "judged" }, ...items);
  return test.changed ? [transitions(test.groups, items), list, ...more] : [];
}

// The transitions; selecting some shows only their deliveries.
function transitions(groups, items) {
  const [first] = groups;
  if (groups.length < 2) return first.moves ? make("p", { class: "transitions" }, make("b", {}, String(first.number)), " ", states(first)) : "";
  const chosen = new Set();
  const chips = groups.map((group) => {
    const box = make("input", { type: "checkbox", class: "unseen" });
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(group.key);
      else chosen.delete(group.key);
      for (const item of items) item.hidden = chosen.size > 0 && !chosen.has(item.dataset.group);
    });
    return make("label", {}, box, make("b", {}, String(group.number)), states(group));
  });
  return make("fieldset", { class: "transitions chips" }, make("legend", { class: "unseen" }, "Show only"), ...chips);
}

function states(one) {
  const badge = ({ state, tone }) => make("span", { class: `badge ${tone}` }, state);
  if (!one.moves) return make("span", {}, badge(one.after), " with different values");
  const arrow = make("span", { class: "arrow" }, make("span", { "aria-hidden": "true" }, "→"), make("span", { class: "unseen" }, "becomes"));
  return make("span", {}, badge(one.before), arrow, badge(one.after));
}

function delivery(panel, one) {
  const url = panel.dataset.delivery.replace("ID", one.id);
  const link = make("a", { href: url, target: "_blank", rel: "noopener", title: `Delivery ${one.id}` },
    make("time", { datetime: one.at, "data-shown": "ago" }, absolute(one.at)));
  const note = one.note ? make("p", { class: "help" }, one.note) : null;
  const folded = one.folded.length ? make("details", {}, make("summary", {}, names(one.folded)), diff(one.folded)) : null;
  return make("li", { "data-group": one.group }, make("div", { class: "judged-head" }, states(one), link),
    one.lines.length ? diff(one.lines) : null, one.error ? make("p", { class: "problem" }, one.error) : null, note, folded);
}

// The title of the folded lines: "conf and response".
function names(lines) {
  const conf = lines.some(({ label }) => label.startsWith("conf")) ? ["conf"] : [];
  return [...conf, ...(lines.some(({ label }) => !label.startsWith("conf")) ? ["response"] : [])].join(" and ");
}

function diff(lines) {
  return make("dl", { class: "diff" }, ...lines.flatMap(({ label, before, after }) => [
    make("dt", { class: label.startsWith("conf") ? "mono" : null }, label),
    make("dd", {}, side("del", before), side("ins", after)),
  ]));
}

function side(name, text) {
  if (text === null) return null;
  // A long text scrolls; the keyboard can scroll it only if it can take the focus.
  const isLong = text.length > LONG_CHARS;
  return make(name, { tabindex: isLong ? "0" : null, class: isLong ? "long" : null }, text === "" ? "(empty)" : text);
}
