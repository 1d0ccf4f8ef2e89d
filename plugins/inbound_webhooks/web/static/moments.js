// Fields for a time are shown and typed in the time zone of Airflow's interface, as times on the pages are; what they
// send is in UTC, so that a copied address means the same to a user with another zone.
import { absolute, zoneName, ZONE_CHANGED } from "./times.js";

const SECONDS_CHARS = "2026-01-31T08:00:00".length;

export function momentFields() {
  const fields = document.querySelectorAll("input[data-moment]");
  if (!fields.length) return;
  for (const field of fields) {
    field.addEventListener("input", () => (field.dataset.moment = instant(field.value)));
    field.form.addEventListener("formdata", ({ formData }) => {
      if (field.value && field.dataset.moment) formData.set(field.name, iso(Date.parse(field.dataset.moment)));
    });
  }
  const show = () => {
    for (const field of fields) if (!Number.isNaN(Date.parse(field.dataset.moment))) field.value = local(field.dataset.moment);
    for (const name of document.querySelectorAll("[data-zone]")) name.textContent = zoneName();
  };
  show();
  document.addEventListener(ZONE_CHANGED, show);
}

const local = (moment) => absolute(moment).replace(" ", "T").replace(/:00$/, "");

// `2026-01-31T08:00:00Z` of what a field holds; "" for what is no time.
function instant(text) {
  const wall = Date.parse(`${text.slice(0, SECONDS_CHARS)}Z`);
  let found = wall;
  // The offset of the first guess may be that before or after a change of the clocks.
  for (let round = 0; round < 2 && !Number.isNaN(found); round += 1) found = wall - offset(found);
  return Number.isNaN(found) ? "" : iso(found);
}

const offset = (milliseconds) => Date.parse(`${absolute(iso(milliseconds)).replace(" ", "T")}Z`) - milliseconds;

const iso = (milliseconds) => new Date(milliseconds).toISOString().replace(/\.\d+Z$/, "Z");
