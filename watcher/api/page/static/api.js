// Requests to the API of the same origin. The token stays in the session storage of this tab.

const TOKEN = "watcher-token";

/** The API needs a token, or does not accept this one. */
export class Unauthorized extends Error {}

/** The API replied with an error. `status` is its status, `message` is the detail of the problem document. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export function token() {
  return sessionStorage.getItem(TOKEN) ?? "";
}

export function keepToken(text) {
  if (text) sessionStorage.setItem(TOKEN, text);
  else sessionStorage.removeItem(TOKEN);
}

/** Requests a path. Throws Unauthorized, Refused, or what `fetch` throws when there is no answer. */
export async function request(path, { headers = {}, signal } = {}) {
  const authorization = token() ? { Authorization: `Bearer ${token()}` } : {};
  const reply = await fetch(path, { headers: { ...headers, ...authorization }, signal, cache: "no-store", credentials: "omit" });
  if (reply.status === 401) throw new Unauthorized(await detail(reply));
  if (!reply.ok) throw new Refused(reply.status, await detail(reply));
  return reply;
}

/** The JSON at a path. Waits at most `limit` milliseconds. */
export async function json(path, limit = 10_000) {
  return (await request(path, { signal: AbortSignal.timeout(limit) })).json();
}

async function detail(reply) {
  try {
    return String((await reply.json()).detail ?? reply.statusText);
  } catch {
    return reply.statusText;
  }
}
