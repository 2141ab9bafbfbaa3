// The frame of the page: it shows a view for each address and asks for the admin secret.

import { ask, secret, whenUnauthorised } from "./api.js";
import { apisView } from "./apis.js";
import { decisionsView, pulse, watchDecisions } from "./decisions.js";
import { el } from "./dom.js";
import { explainView } from "./explain.js";
import { turnNotice } from "./notice.js";
import { newPolicyView, policiesView, policyView } from "./policies.js";
import { newUserView, userView } from "./user.js";
import { usersView } from "./users.js";

// A view fills main, and stops its requests and timers when its signal is aborted.
const views = [
  [/^users$/, usersView],
  [/^users\/new$/, newUserView],
  [/^users\/([^/]+)\/([^/]+)$/, userView],
  [/^policies$/, policiesView],
  [/^policies\/new$/, newPolicyView],
  [/^policies\/of\/([^/]+)$/, policyView],
  [/^apis$/, apisView],
  [/^explain(?:\/([^/]+)\/([^/]+))?$/, explainView],
  [/^decisions$/, decisionsView],
];

const main = document.getElementById("main");
let shown = new AbortController();

async function show() {
  const path = location.hash.replace(/^#\/?/, "") || "users";
  for (const [pattern, view] of views) {
    const found = path.match(pattern);
    if (!found) continue;
    shown.abort();
    shown = new AbortController();
    const { signal } = shown;
    turnNotice();
    mark(path.split("/")[0]);
    const content = el("div", { class: "view" });
    main.replaceChildren(content);
    try {
      await view({ main: content, params: found.slice(1).map((p) => p && decodeURIComponent(p)), signal });
    } catch (error) {
      if (error.name === "AbortError") return;
      content.append(el("p", { class: "message bad", role: "alert" }, error.message));
    }
    if (!signal.aborted) {
      const heading = content.querySelector("h1");
      document.title = heading ? `${heading.textContent} · sidekey` : "sidekey";
    }
    return;
  }
  location.replace("#/users");
}

function mark(name) {
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

// wording returns the text for a refused secret: the server's, except that the dialog says more
// plainly that the secret is wrong.
function wording(error) {
  return error.status === 401 ? "Wrong secret" : error.message;
}

// askForSecret opens a dialog above the current view, so that the user's entries are kept.
function askForSecret(refused) {
  if (document.getElementById("secret-dialog")) return;
  const input = el("input", { id: "secret", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "secret-hint secret-problem" });
  const problem = el("p", { id: "secret-problem", class: "problem", role: "alert" }, refused ? wording(refused) : "");
  const form = el(
    "form",
    { submit: enter },
    el("h1", {}, "Sign in"),
    el("label", { for: "secret" }, "Admin secret"),
    input,
    problem,
    el("p", { id: "secret-hint", class: "hint" }, "You find it in the file ", el("code", {}, "admin.secret"), " in the data folder, or in the file that ", el("code", {}, "admin.secret_file"), " names. Only this tab keeps it."),
    el("div", { class: "actions" }, el("button", { class: "primary" }, "Sign in")),
  );
  const dialog = el("dialog", { id: "secret-dialog", "aria-label": "Sign in", cancel: (event) => event.preventDefault() }, form);

  async function enter(event) {
    event.preventDefault();
    if (/[^\x20-\x7e]/.test(input.value)) {
      problem.textContent = "Admin secret: must be printable ASCII characters";
      return;
    }
    secret.set(input.value.trim());
    try {
      await ask("GET", "/api/decisions");
    } catch (error) {
      secret.forget();
      problem.textContent = wording(error);
      input.setAttribute("aria-invalid", "true");
      input.select();
      return;
    }
    dialog.close();
    dialog.remove();
    start();
  }
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
}

let started = false;

function start() {
  document.getElementById("sign-out").hidden = false;
  watchDecisions();
  if (started) return;
  started = true;
  window.addEventListener("hashchange", () => {
    show();
    main.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  });
  show();
}

document.getElementById("sign-out").addEventListener("click", () => {
  secret.forget();
  location.replace("/");
  location.reload();
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const search = document.querySelector('input[type="search"]');
    if (search) {
      event.preventDefault();
      search.focus();
    }
  }
});

whenUnauthorised((refused) => {
  secret.forget();
  askForSecret(refused);
});
pulse(document.getElementById("pulse"));
if (secret.get()) start();
else askForSecret();
