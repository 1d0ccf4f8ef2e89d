// Times: relative ones stay current, absolute ones follow the time zone that the user chose in Airflow's interface.
// The server renders `<time datetime="…" data-shown="ago|exact">` with a text in UTC for browsers without scripts.
export const ZONE_CHANGED = "timezonechange";
const KEY = "timezone";
const EVERY_MILLISECONDS = 10_000;
const UNITS = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
const PARTS = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };

let format = null;
let skew = 0;

export function times() {
  // Relative to the server's clock, as the times themselves are.
  const server = Date.parse(document.querySelector('meta[name="server-time"]')?.content ?? "");
  if (!Number.isNaN(server)) skew = server - Date.now();
  showAll();
  setInterval(showAll, EVERY_MILLISECONDS);
  document.addEventListener("visibilitychange", showAll);
  // Whatever adds or replaces part of a page: htmx or a script of ours.
  new MutationObserver(showAll).observe(document.body, { childList: true, characterData: true, subtree: true });
  window.addEventListener("storage", (event) => {
    if (event.key !== KEY && event.key !== null) return;
    format = null;
    showAll();
    document.dispatchEvent(new Event(ZONE_CHANGED));
  });
}

// The time zone of Airflow's interface, such as "Europe/Berlin".
export function zoneName() {
  format ??= formatOf(zone());
  return format.resolvedOptions().timeZone;
}

// `2026-11-23 21:04:05`, as Airflow's own pages show it.
export function absolute(text) {
  format ??= formatOf(zone());
  const part = Object.fromEntries(format.formatToParts(Date.parse(text)).map(({ type, value }) => [type, value]));
  return `${part.year}-${part.month}-${part.day} ${part.hour}:${part.minute}:${part.second}`;
}

export function ago(text) {
  const seconds = Math.max(Math.floor((Date.now() + skew - Date.parse(text)) / 1000), 0);
  const [size, unit] = UNITS.find(([least]) => seconds >= least) ?? [];
  return size ? `${Math.floor(seconds / size)} ${unit} ago` : "just now";
}

function showAll() {
  for (const element of document.querySelectorAll("time[data-shown]")) {
    const when = element.getAttribute("datetime");
    const exact = `${absolute(when)} ${zoneName()}`;
    const isExact = element.dataset.shown === "exact";
    // Only what differs: each write wakes the observer again.
    const text = isExact ? absolute(when) : ago(when);
    const isPast = Date.parse(when) <= Date.now() + skew;
    const title = isExact && isPast ? `${ago(when)}, ${exact}` : exact;
    if (element.textContent !== text) element.textContent = text;
    if (element.title !== title) element.title = title;
  }
}

// Airflow stores the choice as JSON; without a choice it shows the browser's own zone.
function zone() {
  let stored = null;
  try {
    stored = localStorage.getItem(KEY);
    return stored === null ? undefined : String(JSON.parse(stored));
  } catch {
    return stored ?? undefined; // not JSON, or no storage in this frame
  }
}

function formatOf(timeZone) {
  const options = { ...PARTS, hourCycle: "h23", calendar: "gregory", numberingSystem: "latn" };
  try {
    return new Intl.DateTimeFormat("en-GB", { ...options, timeZone });
  } catch {
    return new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" });
  }
}
