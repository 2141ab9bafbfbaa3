// All requests of the page. They carry the admin secret in a header, never in a URL, which
// logs and browser histories keep. The secret stays in this tab until the tab is closed or
// the user signs out.

const key = "sidekey.secret";

export const secret = {
  get: () => sessionStorage.getItem(key),
  set: (text) => sessionStorage.setItem(key, text),
  forget: () => sessionStorage.removeItem(key),
};

// Refused is an answer with an error status. Its message is the server's.
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let onUnauthorised = () => {};

export function whenUnauthorised(f) {
  onUnauthorised = f;
}

// ask sends a request and returns the text and the warnings of the answer. body is JSON
// text, or a value that ask converts to JSON.
export async function ask(method, path, { body, headers = {}, signal } = {}) {
  if (body !== undefined && typeof body !== "string") body = JSON.stringify(body);
  const shown = secret.get();
  let response;
  try {
    response = await fetch(path, {
      method,
      body,
      signal,
      headers: { ...headers, Authorization: shown ?? "", "Content-Type": "application/json" },
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "sidekey does not answer. Is it running?");
  }
  const text = await response.text();
  if (!response.ok) {
    const refused = new Refused(response.status, messageOf(text) ?? `${response.status} ${response.statusText}`);
    const unauthorised = response.status === 401 || (response.status === 403 && path.startsWith("/tyk/"));
    // The user may have entered another secret in the meantime; this answer is not about it.
    if (unauthorised && shown === secret.get()) onUnauthorised(refused);
    throw refused;
  }
  const warnings = response.headers.get("X-Sidekey-Warning");
  return { text, warnings };
}

export async function get(path, options) {
  return JSON.parse((await ask("GET", path, options)).text);
}

// messageOf returns the message of an error in either dialect.
function messageOf(text) {
  try {
    const answer = JSON.parse(text);
    return answer.Message ?? answer.message;
  } catch {
    return null;
  }
}

// token returns a key that names one user of one org, whatever characters their names contain:
// a browser would drop a user called ".." from a path. Tyk builds its keys this way, without
// escapes.
export function token(org, user) {
  const bytes = new TextEncoder().encode(`{"org":"${org}","id":"${user}","h":"murmur64"}`);
  return encodeURIComponent(btoa(String.fromCharCode(...bytes)));
}
