// Links to Airflow's own pages. The sandbox forbids the frame to navigate its parent window, but the parent has the
// same origin, so a link that is created there can navigate it.
export function outerLinks() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[target="_top"], a[target="_blank"]');
    if (!link || window.top === window || event.defaultPrevented) return;
    event.preventDefault();
    if ("login" in link.dataset) return logIn(link.href);
    const outer = window.top.document.createElement("a");
    outer.href = link.href;
    outer.rel = "noopener noreferrer";
    const apart = link.target === "_blank" || event.ctrlKey || event.metaKey || event.shiftKey;
    if (apart) outer.target = "_blank";
    outer.click();
  });
}

// After the login, Airflow opens what its window shows now, this page in its frame included.
function logIn(url) {
  const login = new URL(url);
  login.searchParams.set("next", window.top.location.href);
  const outer = window.top.document.createElement("a");
  outer.href = login.href;
  outer.click();
}
