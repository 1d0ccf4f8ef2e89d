// Many parameters: at first only those that matter are shown, a search finds the others.
const FEW = 15;

// Returns a function that shows the right rows again after they have changed.
export function parameterSearch(rows) {
  const place = document.getElementById("lines-search");
  const field = place.querySelector("input");
  const toggle = place.querySelector("button");
  let showsAll = false;

  function update() {
    const all = [...rows.rows];
    place.hidden = all.length <= FEW;
    const words = field.value.trim().toLowerCase();
    const shown = place.hidden ? all : words ? all.filter((row) => matches(row, words)) : showsAll ? all : important(all);
    const chosen = new Set(shown);
    for (const row of all) row.hidden = !chosen.has(row);
    toggle.hidden = Boolean(words);
    toggle.textContent = showsAll ? "Show fewer" : `Show all ${all.length}`;
    toggle.setAttribute("aria-expanded", String(showsAll));
    place.querySelector("#lines-count").textContent = words ? `${shown.length} of ${all.length}` : "";
  }

  field.addEventListener("input", update);
  toggle.addEventListener("click", () => {
    showsAll = !showsAll;
    update();
  });
  update();
  return update;
}

const nameOf = (row) => row.querySelector("[data-name]").value;

function matches(row, words) {
  return `${nameOf(row)} ${row.querySelector(".help")?.textContent ?? ""}`.toLowerCase().includes(words);
}

// Required ones, those with an expression, a problem or a name of their own, and the first ones up to FEW.
function important(all) {
  const needed = all.filter((row) =>
    row.querySelector(".required") || row.querySelector("[name=mapping_expression]").value || row.querySelector(".problem:not([hidden])") || row.matches(".own"));
  const others = all.filter((row) => !needed.includes(row)).slice(0, Math.max(FEW - needed.length, 0));
  return all.filter((row) => needed.includes(row) || others.includes(row));
}
