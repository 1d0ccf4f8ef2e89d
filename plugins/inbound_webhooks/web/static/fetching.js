// Requests of the scripts; a header tells the server to respond with JSON instead of a page.
const token = () => document.querySelector('meta[name="csrf-token"]')?.content ?? "";

export async function getJson(url) {
  return read(await fetch(url, { headers: { "X-Requested-With": "fetch" }, credentials: "same-origin" }));
}

export async function postForm(url, data) {
  const headers = { "X-Requested-With": "fetch", "X-CSRFToken": token() };
  return read(await fetch(url, { method: "POST", body: data, headers, credentials: "same-origin" }));
}

async function read(response) {
  let document_ = null;
  try {
    document_ = await response.json();
  } catch {
    document_ = { error: `The server responded with status ${response.status}.` };
  }
  return { ok: response.ok, status: response.status, data: document_ };
}
