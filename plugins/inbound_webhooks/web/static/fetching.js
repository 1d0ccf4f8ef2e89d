// Requests of our scripts, which the server tells from a person's by a header.
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
    document_ = { error: `The server answered ${response.status}.` };
  }
  return { ok: response.ok, status: response.status, data: document_ };
}
