// Explains why a request passes or is refused: it shows each check in order. No limit is used.

import { ask, get } from "./api.js";
import { el, stored, table } from "./dom.js";
import { labelled } from "./fields.js";

export async function explainView({ main, params: [org, user], signal }) {
  const { apis } = await get("/api/apis", { signal });
  const text = (value, props = {}) => el("input", { type: "text", autocomplete: "off", spellcheck: "false", value: value ?? "", ...props });
  const choice = (values) => el("select", {}, values.map(([value, label]) => el("option", { value }, label)));
  const controls = {
    user: text(user, { dir: "auto" }),
    password: el("input", { type: "password", autocomplete: "off", spellcheck: "false" }),
    org: text(org),
    api: choice([["", "by host and path"], ...apis.map((api) => [api.id, api.name ? `${api.name} (${api.id})` : api.id])]),
    method: text("GET", { size: 8 }),
    host: text("", { placeholder: "example.com" }),
    path: text("/"),
    dialect: choice([["envoy", "Envoy"], ["nginx", "NGINX"], ["forward", "Caddy, Traefik, HAProxy"]]),
    headers: el("textarea", { rows: 3, spellcheck: "false", placeholder: "X-Api-Version: v2" }),
  };
  const labels = {
    user: "User name", password: "Password", org: "Org", api: "API", method: "Method",
    host: "Host", path: "Path", dialect: "Proxy", headers: "Headers, one per line",
  };
  const result = el("section", { "aria-live": "polite", "aria-label": "Result" });
  const send = el("button", { class: "primary" }, "Explain");
  main.append(
    el("h1", {}, "Explain"),
    el("p", { class: "hint" }, "Would this request pass? sidekey decides about it as about a real request, but does not count it against any limit."),
    el(
      "form",
      { class: "explain", submit: explain, novalidate: true },
      el("div", { class: "fields group" }, Object.entries(controls).map(([name, control]) => labelled(labels[name], control, { path: name }))),
      el("div", { class: "actions" }, send),
    ),
    result,
  );

  async function explain(event) {
    event.preventDefault();
    send.disabled = true;
    try {
      const body = Object.fromEntries(Object.entries(controls).map(([name, control]) => [name, control.value]));
      body.headers = headersOf(controls.headers.value);
      const answer = JSON.parse((await ask("POST", "/api/explain", { body, signal })).text);
      show(answer);
    } catch (error) {
      if (error.name === "AbortError") return;
      result.replaceChildren(el("p", { class: "message bad" }, error.message));
    }
    send.disabled = false;
  }

  function show(answer) {
    const verdict = answer.passed ? "Passes" : "Refused";
    result.replaceChildren(
      el(
        "p",
        { class: `verdict ${answer.passed ? "good" : "bad"}` },
        el("strong", {}, verdict),
        answer.passed ? "" : [" with ", String(answer.status), ": ", stored(answer.message), " (", el("code", {}, stored(answer.reason)), ")"],
      ),
      table("Checks in order", ["Check", "Result", "Details", "Hint"], (answer.steps ?? []).map((step) => [
        el("code", {}, stored(step.check)),
        step.passed ? el("span", { class: "badge good" }, "✓ passed") : el("span", { class: "badge bad" }, "✗ refused"),
        step.value ? stored(step.value) : "",
        step.hint ? stored(step.hint) : "",
      ])),
    );
  }
}

// headersOf reads "Name: value" lines into an object.
function headersOf(text) {
  const headers = {};
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers[line.slice(0, colon).trim()] = line.slice(colon + 1).trim();
  }
  return headers;
}
