// Links of mails lead to Airflow's own frame: its URL names a delivery or a webhook, which the frame's list then opens.
// Ids are checked, so that no link can lead anywhere else.
const PAGES = { delivery: [/^[0-9a-f]{32}$/, "delivery/"], webhook: [/^[A-Za-z0-9_-]{10}$/, "hook/"] };

export function mailLinks() {
  const list = document.querySelector("[data-list]");
  if (!list || window.parent === window) return;
  const named = new URLSearchParams(window.parent.location.search);
  for (const [name, [id, path]] of Object.entries(PAGES)) {
    const value = named.get(name) ?? "";
    if (!id.test(value) || isOpened(`${name}=${value}`)) continue;
    location.replace(new URL(path + value, new URL(list.dataset.list, location.href)));
    return;
  }
}

// Once for each window: "Webhooks" in the breadcrumb leads back to the list.
function isOpened(link) {
  if (window.parent.inboundWebhooksOpened === link) return true;
  window.parent.inboundWebhooksOpened = link;
  return false;
}
