// Past deliveries through the form as it is typed: which of them would become something else, and what.
import { postForm } from "./fetching.js";
import { make } from "./elements.js";
import { showProblems } from "./editor.js";

const LONG_CHARS = 400;

export function backTest() {
  const panel = document.querySelector("[data-backtest]");
  if (!panel) return;
  tabs(document.querySelector("[data-tabs]"));
  const form = document.getElementById("definition");
  const button = document.getElementById("past-now");
  const last = document.getElementById("past-last");
  const say = (text, className = "help") => {
    const place = document.getElementById("past-said");
    place.textContent = text;
    place.className = className;
  };
  let isShown = false;

  async function run() {
    const data = new FormData(form);
    data.set("backtest_last", last.value);
    button.disabled = true;
    say(`Judging the last ${last.value}…`);
    const answer = await postForm(panel.dataset.backtest, data).catch(() => ({ data: { error: "The server did not answer." } }));
    button.disabled = false;
    showProblems(form, answer.data.problems ?? {});
    isShown = answer.ok;
    document.getElementById("judged").replaceChildren(...(answer.ok ? results(panel, answer.data) : []));
    if (answer.ok) say(summary(answer.data));
    else say(answer.data.problems ? "The form has mistakes, see what is marked." : answer.data.error, "note bad");
  }

  button.addEventListener("click", run);
  last.addEventListener("change", run);
  form.addEventListener("input", () => {
    if (!isShown) return;
    isShown = false;
    say("The form has changed since: judge them again.", "note warn");
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
  if (!test.looked_at) return "Nothing has come in yet.";
  const missing = test.not_judged ? ` Of ${test.not_judged} the body is not stored, so they cannot be judged.` : "";
  if (!judged) return missing.trim();
  if (!test.changed) return `All ${judged} would become what they become now.${missing}`;
  const same = judged - test.changed;
  return `${test.changed} of ${judged} would change${same ? `, ${same} would not` : ""}.${missing}`;
}

function results(panel, test) {
  const items = test.deliveries.map((one) => delivery(panel, one));
  const more = test.more ? [make("p", { class: "help" }, `and ${test.more} more, which the command line shows: airflow webhooks try --against-last`)] : [];
  const list = make("ol", { class: "judged" }, ...items);
  return test.changed ? [ways(test.groups, items), list, ...more] : [];
}

// Which way they go; chosen ones are shown alone.
function ways(groups, items) {
  const [first] = groups;
  if (groups.length < 2) return first.moves ? make("p", { class: "ways" }, make("b", {}, String(first.number)), " ", states(first)) : "";
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
  return make("fieldset", { class: "ways chips" }, make("legend", { class: "unseen" }, "Show only"), ...chips);
}

function states(one) {
  const badge = ({ state, tone }) => make("span", { class: `badge ${tone}` }, state);
  if (!one.moves) return make("span", {}, badge(one.after), " with other values");
  const arrow = make("span", { class: "arrow" }, make("span", { "aria-hidden": "true" }, "→"), make("span", { class: "unseen" }, "becomes"));
  return make("span", {}, badge(one.before), arrow, badge(one.after));
}

function delivery(panel, one) {
  const url = panel.dataset.delivery.replace("ID", one.id);
  const link = make("a", { href: url, target: "_blank", rel: "noopener", title: `Delivery ${one.id}, ${one.at}` }, one.ago);
  const said = one.said ? make("p", { class: "help" }, one.said) : null;
  const folded = one.folded.length ? make("details", {}, make("summary", {}, names(one.folded)), diff(one.folded)) : null;
  return make("li", { "data-group": one.group }, make("div", { class: "judged-head" }, states(one), link),
    one.lines.length ? diff(one.lines) : null, one.error ? make("p", { class: "problem" }, one.error) : null, said, folded);
}

// What is folded away: "conf and answer".
function names(lines) {
  const conf = lines.some(({ label }) => label.startsWith("conf")) ? ["conf"] : [];
  return [...conf, ...(lines.some(({ label }) => !label.startsWith("conf")) ? ["answer"] : [])].join(" and ");
}

function diff(lines) {
  return make("dl", { class: "diff" }, ...lines.flatMap(({ label, before, after }) => [
    make("dt", { class: label.startsWith("conf") ? "mono" : null }, label),
    make("dd", {}, side("del", before), side("ins", after)),
  ]));
}

function side(name, text) {
  if (text === null) return null;
  // A long one scrolls, which the keyboard can do only where it can get to.
  const isLong = text.length > LONG_CHARS;
  return make(name, { tabindex: isLong ? "0" : null, class: isLong ? "long" : null }, text === "" ? "(empty)" : text);
}
