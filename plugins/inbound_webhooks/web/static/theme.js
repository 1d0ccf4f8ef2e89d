// The colour mode of Airflow's own interface, which keeps it in this browser; at once when somebody switches.
(() => {
  const KEY = "theme";

  function apply() {
    let mode = null;
    try {
      mode = localStorage.getItem(KEY);
    } catch {
      // A browser may keep storage from frames; then its own preference counts.
    }
    if (mode === "light" || mode === "dark") document.documentElement.dataset.theme = mode;
    else delete document.documentElement.dataset.theme;
  }

  apply();
  window.addEventListener("storage", (event) => {
    if (event.key === KEY || event.key === null) apply();
  });
})();
