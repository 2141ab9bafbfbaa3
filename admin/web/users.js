// The list of users, which is searched as the user types and shown page by page.

import { ask } from "./api.js";
import { button, count, date, el, per, stored, table } from "./dom.js";

const pageSize = 25;

// The search text and the pages when the list was left.
const state = { text: "", places: [""] };

export async function usersView({ main, signal }) {
  const search = el("input", {
    id: "search", type: "search", value: state.text, autocomplete: "off", spellcheck: "false", dir: "auto",
    placeholder: "Name, alias or tag", "aria-describedby": "search-status", input: typed,
  });
  const status = el("p", { id: "search-status", class: "hint", role: "status", "aria-live": "polite" });
  const results = el("div", { id: "users" });
  const previous = button("← Previous", () => turn(-1));
  const next = button("Next →", () => turn(1));
  const further = button("Keep searching", () => (searching ? stop() : load({ goOn: true })));
  main.append(
    el("div", { class: "head" }, el("h1", {}, "Users"), el("a", { class: "button primary", href: "#/users/new" }, "New user")),
    el("div", { class: "field search" }, el("label", { for: "search" }, "Search"), search, status),
    results,
    el("nav", { class: "actions", "aria-label": "Pages" }, previous, next, further),
  );

  let timer = 0;
  let running = new AbortController();
  signal.addEventListener("abort", () => { clearTimeout(timer); running.abort(); });

  function typed() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      state.text = search.value;
      state.places = [""];
      load({});
    }, 120);
  }

  function turn(by) {
    if (by < 0) state.places.pop();
    else state.places.push(following);
    load({}).then(() => results.querySelector("a")?.focus());
  }

  let users = [];
  let following = null; // where the next page begins
  let looked = 0;
  let searching = false; // until the page is full or all users have been searched

  function stop() {
    running.abort();
    searching = false;
    draw();
  }

  // load fills a page. The server returns names that begin with the text first. For matches
  // elsewhere, load asks up to three times, or until the page is full if goOn is set.
  async function load({ goOn = false }) {
    running.abort();
    running = new AbortController();
    const mine = running;
    if (!goOn) {
      users = [];
      looked = 0;
      following = state.places.at(-1);
    }
    searching = goOn;
    further.hidden = !goOn;
    further.textContent = "Stop";
    status.textContent = "Searching …";
    try {
      for (let answers = 0; goOn || answers < 3; answers++) {
        const query = new URLSearchParams({ q: state.text, limit: String(pageSize - users.length), after: following ?? "" });
        const answer = JSON.parse((await ask("GET", `/api/users/search?${query}`, { signal: mine.signal })).text);
        users.push(...answer.users);
        looked += answer.looked_at;
        following = answer.next;
        if (users.length >= pageSize || following === null) break;
        status.textContent = `Searching … ${count(looked)} searched`;
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      status.textContent = "";
      results.replaceChildren(el("p", { class: "message bad", role: "alert" }, error.message));
      return;
    }
    searching = false;
    draw();
  }

  function draw() {
    further.textContent = "Keep searching";
    const full = users.length >= pageSize;
    previous.hidden = state.places.length < 2;
    next.hidden = following === null || !full;
    further.hidden = following === null || full;
    const page = state.places.length > 1 ? `Page ${state.places.length}: ` : "";
    const many = `${users.length} user${users.length === 1 ? "" : "s"}`;
    status.textContent = further.hidden ? `${page}${many}${next.hidden ? "" : ", and more"}` : `${page}${many} among the ${count(looked)} searched so far`;
    if (users.length > 0) {
      results.replaceChildren(table("Users", ["User", "Alias", "State", "Rate", "Quota left", "Expires", "Policies", "Tags"], users.map(row)));
    } else if (further.hidden) {
      results.replaceChildren(el("p", { class: "empty" }, state.text === "" ? "No users yet." : "No users found."));
    } else {
      results.replaceChildren();
    }
  }

  await load({});
}

// userLink returns the address of a user's view.
export function userLink(org, user) {
  return `#/users/${encodeURIComponent(org)}/${encodeURIComponent(user)}`;
}

function row(user) {
  const s = user.session;
  return [
    el("a", { href: userLink(user.org_id, user.username) }, stored(user.username), user.org_id === "default" ? null : el("small", {}, " in ", stored(user.org_id))),
    s.alias ? stored(s.alias) : "",
    stateBadge(user.state),
    rateText(s),
    s.quota_max > 0 ? `${count(s.quota_remaining)} of ${count(s.quota_max)}` : "",
    s.expires > 0 ? date(s.expires) : "",
    labels(s.apply_policies),
    labels(s.tags),
  ];
}

function labels(list) {
  return el("span", {}, (list ?? []).map((text) => [stored(text, "label"), " "]).flat());
}

export function rateText(limit) {
  return limit.rate > 0 && limit.per > 0 ? `${count(limit.rate)} ${per(limit.per)}` : "";
}

export function stateBadge(state) {
  const good = state === "active";
  return el("span", { class: `badge ${good ? "good" : "bad"}` }, stored(state));
}
