// The editor for access rights: the APIs that a user may use, with their versions, URLs and
// limits.

import { button, el, newID, stored } from "./dom.js";
import { numberField, secondsField, writeAll } from "./fields.js";
import { escaped, RawObject } from "./json.js";

export const periods = [
  [3600, "every hour"],
  [86400, "every day"],
  [604800, "every week"],
  [2592000, "every 30 days"],
  [0, "never"],
];

// rightsField edits the member access_rights. none is the text shown if there are no rights.
export function rightsField(raw, apis, none) {
  const rights = raw.object("access_rights");
  const cards = el("div", { class: "cards" });
  const all = el("p", { class: "message" });
  const select = el("select", { id: newID("field"), change: add });
  let open = [];
  const ids = () => open.map((card) => card.id).join("\n");
  let before = "";

  function add() {
    const api = apis.find((a) => a.id === select.value);
    if (!api) return;
    const right = new RawObject();
    right.set("api_id", api.id);
    right.set("api_name", api.name);
    right.set("versions", []);
    const card = rightCard(api.id, right, api, remove);
    open.push(card);
    cards.append(card.node);
    draw();
    card.node.querySelector("button").focus();
  }

  function remove(card) {
    open = open.filter((other) => other !== card);
    card.node.remove();
    draw();
    select.focus();
  }

  function draw() {
    const taken = new Set(open.map((card) => card.id));
    select.replaceChildren(
      el("option", { value: "" }, "add an API …"),
      ...apis.filter((a) => !taken.has(a.id)).map((a) => el("option", { value: a.id }, escaped(a.name ? `${a.name} (${a.id})` : a.id))),
    );
    all.textContent = none;
    all.hidden = open.length > 0;
  }

  for (const id of rights.names()) {
    const card = rightCard(id, rights.object(id), apis.find((a) => a.id === id), remove);
    open.push(card);
    cards.append(card.node);
  }
  before = ids();
  draw();

  const node = el(
    "fieldset",
    { class: "group wide", "data-path": "access_rights" },
    el("legend", {}, "Access rights"),
    all,
    cards,
    el("div", { class: "control" }, el("label", { for: select.id, class: "hidden" }, "Add an API"), select),
    el("p", { class: "problem" }),
  );
  return {
    node,
    write(target) {
      const now = new RawObject();
      let changed = ids() !== before;
      for (const card of open) {
        const right = new RawObject(card.text);
        if (writeAll(card.fields, right)) changed = true;
        now.setText(card.id, right.toString());
      }
      if (changed) target.setText("access_rights", now.toString());
      return changed;
    },
  };
}

function rightCard(id, right, api, onRemove) {
  const path = `access_rights.${id}`;
  const fields = [versions(right, path, api), allowedURLs(right, path), ownLimit(right, path)];
  const endpoints = (right.get("endpoints") ?? []).length;
  const card = { id, text: right.toString(), fields };
  card.node = el(
    "fieldset",
    { class: "card", "data-path": path },
    el(
      "legend",
      {},
      stored(api?.name || right.get("api_name") || id),
      " ",
      el("code", {}, stored(id)),
      api ? null : el("span", { class: "badge bad" }, "not configured"),
      el("button", { type: "button", class: "small", "aria-label": `Remove ${escaped(id)}`, click: () => onRemove(card) }, "×"),
    ),
    fields.map((field) => field.node),
    endpoints > 0 ? el("p", { class: "hint" }, `Endpoints with their own limits: ${endpoints}. Edit them as JSON.`) : null,
    el("p", { class: "problem" }),
  );
  return card;
}

function versions(right, path, api) {
  const granted = right.get("versions") ?? [];
  const known = [...new Set([...(api?.versions ?? []), ...granted])];
  const boxes = known.map((version) => {
    const box = el("input", { type: "checkbox", checked: granted.includes(version) });
    return { version, box, node: el("label", { class: "tick" }, box, " ", stored(version)) };
  });
  const read = () => JSON.stringify(boxes.filter(({ box }) => box.checked).map(({ version }) => version));
  const initial = read();
  return {
    node: el(
      "div",
      { class: "field", "data-path": `${path}.versions`, role: "group", "aria-label": "Versions" },
      known.length > 0 ? [el("span", { class: "label" }, "Versions"), boxes.map(({ node }) => node), el("p", { class: "hint" }, "None ticked: all versions.")] : null,
      el("p", { class: "problem" }),
    ),
    write(target) {
      if (read() === initial) return false;
      target.setText("versions", read());
      return true;
    },
  };
}

function allowedURLs(right, path) {
  const rows = el("div", { class: "rows" });
  let open = [];

  function addRow(rule) {
    const url = el("input", { type: "text", value: rule.url ?? "", "aria-label": "URL pattern", placeholder: "/orders/{id}", spellcheck: "false", dir: "ltr" });
    const methods = el("input", { type: "text", value: (rule.methods ?? []).join(", "), "aria-label": "Methods", placeholder: "GET, POST", spellcheck: "false", size: 14 });
    const row = {
      url,
      read: () => ({ ...rule, url: url.value, methods: methods.value.split(/[\s,]+/).filter(Boolean) }),
      node: el("div", { class: "row" }, el("div", {}, url, el("p", { class: "problem" })), el("div", {}, methods, el("p", { class: "problem" })), el("button", { type: "button", "aria-label": "Remove URL", click: remove }, "×")),
    };
    function remove() {
      open = open.filter((other) => other !== row);
      row.node.remove();
      number();
      add.focus();
    }
    open.push(row);
    rows.append(row.node);
    number();
    return row;
  }

  // number gives each row the path that the server's messages use for it.
  function number() {
    open.forEach((row, i) => {
      row.node.children[0].dataset.path = `${path}.allowed_urls[${i}].url`;
      row.node.children[1].dataset.path = `${path}.allowed_urls[${i}].methods`;
    });
  }

  for (const rule of right.get("allowed_urls") ?? []) addRow(rule);
  const read = () => JSON.stringify(open.map((row) => row.read()));
  const initial = read();
  const add = button("Add URL", () => addRow({}).url.focus(), "small");
  return {
    node: el(
      "div",
      { class: "field", "data-path": `${path}.allowed_urls`, role: "group", "aria-label": "Allowed URLs" },
      el("span", { class: "label" }, "Allowed URLs"),
      rows,
      add,
      el("p", { class: "hint" }, "None: every URL. If you add one, all others are refused. {x} matches one segment, /* matches the rest; everything else is a regular expression."),
      el("p", { class: "problem" }),
    ),
    write(target) {
      if (read() === initial) return false;
      target.setText("allowed_urls", read());
      return true;
    },
  };
}

// ownLimit edits the limit of a right, which replaces all limits of the session for that API.
function ownLimit(right, path) {
  const limit = right.object("limit");
  const fields = [
    numberField(limit, "rate", "Rate: requests", { path: `${path}.limit.rate` }),
    numberField(limit, "per", "per this many seconds", { path: `${path}.limit.per` }),
    numberField(limit, "quota_max", "Quota: requests", { path: `${path}.limit.quota_max` }),
    secondsField(limit, "quota_renewal_rate", "Renews", periods, { path: `${path}.limit.quota_renewal_rate` }),
  ];
  const has = right.get("limit") != null;
  return {
    node: el(
      "details",
      { open: has, "data-path": `${path}.limit` },
      el("summary", {}, "Limits for this API only"),
      el("p", { class: "hint" }, "They replace all limits of the user for this API. If you set only a rate, there is no quota."),
      el("div", { class: "fields" }, fields.map((field) => field.node)),
      el("p", { class: "problem" }),
    ),
    write(target) {
      const now = target.object("limit");
      if (!writeAll(fields, now)) return false;
      const nothing = ["rate", "quota_max"].every((name) => !(now.get(name) > 0) && typeof now.get(name) !== "string");
      target.setText("limit", nothing ? "null" : now.toString());
      return true;
    },
  };
}
