// Keeps a click on what only a script can do until the scripts are loaded, see pages.js: on a slow network or a busy
// server the page is shown seconds before them.
(() => {
  let clicked = null;

  function keep(event) {
    const found = event.target.closest?.('button[type="button"], a[target="_top"]');
    if (!found || event.ctrlKey || event.metaKey || event.shiftKey) return;
    // Without a frame around it, such a link needs no script.
    if (found.matches("a") && window.top === window) return;
    event.preventDefault();
    clicked = found;
  }

  document.addEventListener("click", keep, true);
  document.addEventListener("scripts-loaded", () => {
    document.removeEventListener("click", keep, true);
    if (clicked?.isConnected) clicked.click();
  }, { once: true });
})();
