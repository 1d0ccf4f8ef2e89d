// Follows the colour mode of Airflow's own interface, which stores it in the browser, also when the user switches.
(() => {
  const KEY = "theme";

  function apply() {
    let mode = null;
    try {
      mode = localStorage.getItem(KEY);
    } catch {
      // A browser may deny storage to frames; its own preference applies then.
    }
    if (mode === "light" || mode === "dark") document.documentElement.dataset.theme = mode;
    else delete document.documentElement.dataset.theme;
  }

  apply();
  window.addEventListener("storage", (event) => {
    if (event.key === KEY || event.key === null) apply();
  });
})();
