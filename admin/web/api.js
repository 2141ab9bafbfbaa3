// Everything shown is asked for here, with the secret in a header: never in a URL, where
// logs and histories would keep it. It lives in this tab until it is closed or told to
// forget it.

const key = "sidekey.secret";

export const secret = {
  get: () => sessionStorage.getItem(key),
  set: (text) => sessionStorage.setItem(key, text),
  forget: () => sessionStorage.removeItem(key),
};

// Refused is an answer that is no success; its message is the server's own.
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

// ask sends a request and returns its answer: text, and the warnings that came with it.
// body is JSON text, or a value to be written as such.
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
    throw new Refused(0, "sidekey does not answer: is it running?");
  }
  const text = await response.text();
  if (!response.ok) {
    const refused = new Refused(response.status, messageOf(text) ?? `${response.status} ${response.statusText}`);
    const unauthorised = response.status === 401 || (response.status === 403 && path.startsWith("/tyk/"));
    // Another secret may have been entered since: that one is not wrong.
    if (unauthorised && shown === secret.get()) onUnauthorised(refused);
    throw refused;
  }
  const warnings = response.headers.get("X-Sidekey-Warning");
  return { text, warnings };
}

export async function get(path, options) {
  return JSON.parse((await ask("GET", path, options)).text);
}

// messageOf takes the message out of an error of either dialect.
function messageOf(text) {
  try {
    const answer = JSON.parse(text);
    return answer.Message ?? answer.message;
  } catch {
    return null;
  }
}

// token names one user of one org whatever is in the names; Tyk's keys are made so, without
// escapes. (As a part of a path, a user called ".." would be taken out by the browser.)
export function token(org, user) {
  const bytes = new TextEncoder().encode(`{"org":"${org}","id":"${user}","h":"murmur64"}`);
  return encodeURIComponent(btoa(String.fromCharCode(...bytes)));
}
