// Links to Airflow's own pages. Our frame is sandboxed and may not move the window around it, but that window
// has our origin and may move itself.
export function outerLinks() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[target="_top"], a[target="_blank"]');
    if (!link || window.top === window || event.defaultPrevented) return;
    event.preventDefault();
    const outer = window.top.document.createElement("a");
    outer.href = link.href;
    outer.rel = "noopener noreferrer";
    const apart = link.target === "_blank" || event.ctrlKey || event.metaKey || event.shiftKey;
    if (apart) outer.target = "_blank";
    outer.click();
  });
}
