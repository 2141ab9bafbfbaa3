// Fields of forms. A field shows a member of a RawObject. Its function write(target) copies the
// member into another RawObject if the user has changed it, and returns whether it did. A field
// has the path that the server's messages use, so that a message appears beside its field.

import { button, el, newID, stored } from "./dom.js";
import { escaped, isMisleading } from "./json.js";

// labelled puts a control under its label, with room for a hint and a problem.
export function labelled(label, control, { path, hint, after, className = "" } = {}) {
  control.id ||= newID("field");
  const described = newID("about");
  control.setAttribute("aria-describedby", described);
  return el(
    "div",
    { class: `field ${className}`, "data-path": path },
    el("label", { for: control.id }, label),
    el("div", { class: "control" }, control, after ?? null),
    el("div", { id: described }, hint ? el("p", { class: "hint" }, hint) : null, el("p", { class: "problem" })),
  );
}

// simple makes a field for a member. read returns the JSON text of the user's entry.
function simple(node, name, read) {
  const initial = read();
  return {
    node,
    write(target) {
      const now = read();
      if (now === initial) return false;
      target.setText(name, now);
      return true;
    },
  };
}

// within makes one field from fields for the members of the object called name.
export function within(name, fields, node = fields[0].node) {
  return {
    node,
    write(target) {
      const object = target.object(name);
      if (!writeAll(fields, object)) return false;
      target.setText(name, object.toString());
      return true;
    },
  };
}

// writeAll writes fields and returns whether any was changed.
export function writeAll(fields, target) {
  return fields.map((field) => field.write(target)).some(Boolean);
}

function textInput(value, props = {}) {
  return el("input", { type: "text", autocomplete: "off", spellcheck: "false", dir: "auto", value, ...props });
}

export function textField(raw, name, label, options = {}) {
  const control = textInput(raw.get(name) ?? "", options.props);
  return simple(labelled(label, control, { path: name, ...options }), name, () => JSON.stringify(control.value));
}

// numberText returns the JSON text of an entry. If it is not a number, it is sent as a string,
// and the server says what is wrong with it.
function numberText(text) {
  text = text.trim();
  if (text === "") return "0";
  return /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text) ? text : JSON.stringify(text);
}

export function numberField(raw, name, label, options = {}) {
  const text = raw.text(name);
  const control = textInput(text === undefined || text === "null" ? "" : text, { inputmode: "decimal", size: 8, ...options.props });
  return simple(labelled(label, control, { path: name, className: "number", ...options }), name, () => numberText(control.value));
}

export function checkField(raw, name, label, options = {}) {
  const control = el("input", { type: "checkbox", id: newID("field"), checked: raw.get(name) === true });
  const described = newID("about");
  control.setAttribute("aria-describedby", described);
  const node = el(
    "div",
    { class: "field check", "data-path": options.path ?? name },
    el("label", { for: control.id }, control, " ", label),
    el("div", { id: described }, options.hint ? el("p", { class: "hint" }, options.hint) : null, el("p", { class: "problem" })),
  );
  return simple(node, name, () => String(control.checked));
}

function listOf(text) {
  return text.split(",").map((part) => part.trim()).filter((part) => part !== "");
}

// listField edits a list of words, separated by commas.
export function listField(raw, name, label, options = {}) {
  const control = textInput((raw.get(name) ?? []).join(", "), options.props);
  return simple(labelled(label, control, { path: name, ...options }), name, () => JSON.stringify(listOf(control.value).map(options.of ?? String)));
}

// secondsField edits a duration in seconds: one of choices, or any other.
export function secondsField(raw, name, label, choices, options = {}) {
  const value = raw.text(name) ?? "0";
  const known = choices.some(([seconds]) => String(seconds) === value);
  const other = textInput(known ? "" : value, { inputmode: "numeric", size: 8, "aria-label": `${label}, in seconds` });
  const select = el(
    "select",
    { change: () => { other.hidden = select.value !== "other"; if (!other.hidden) other.focus(); } },
    choices.map(([seconds, text]) => el("option", { value: seconds }, text)),
    el("option", { value: "other" }, "other (seconds)"),
  );
  select.value = known ? value : "other";
  other.hidden = known;
  const node = labelled(label, select, { path: name, after: other, ...options });
  return simple(node, name, () => (select.value === "other" ? numberText(other.value) : select.value));
}

const pad = (n) => String(n).padStart(2, "0");

function localTime(unix) {
  const d = new Date(unix * 1000);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())}T${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}

// timeField edits a time in Unix seconds. If it is empty, that means never.
export function timeField(raw, name, label, options = {}) {
  const unix = raw.get(name) ?? 0;
  const control = el("input", { type: "datetime-local", step: 1, value: unix > 0 ? localTime(unix) : "" });
  const set = (seconds) => () => {
    control.value = seconds === 0 ? "" : localTime(Math.floor(Date.now() / 1000) + seconds);
    control.focus();
  };
  const quick = el("span", { class: "quick" }, button("never", set(0)), button("+1 day", set(86400)), button("+30 days", set(30 * 86400)), button("+1 year", set(365 * 86400)));
  const read = () => (control.value === "" ? "0" : String(Math.floor(new Date(control.value).getTime() / 1000)));
  return simple(labelled(label, control, { path: name, after: quick, ...options }), name, read);
}

// chosenField edits an ordered list. Its values come from choices, which are [value, text].
export function chosenField(raw, name, label, choices, options = {}) {
  let chosen = raw.get(name) ?? [];
  const chips = el("ul", { class: "chips" });
  const select = el("select", { change: add });
  function add() {
    if (select.value !== "") chosen = [...chosen, select.value];
    draw();
    options.onChange?.(chosen);
  }
  function remove(value) {
    chosen = chosen.filter((other) => other !== value);
    draw();
    select.focus();
    options.onChange?.(chosen);
  }
  function draw() {
    const text = new Map(choices);
    chips.replaceChildren(
      ...chosen.map((value) =>
        el("li", {}, stored(text.get(value) ?? `${value} (missing)`), el("button", { type: "button", "aria-label": `Remove ${escaped(value)}`, click: () => remove(value) }, "×")),
      ),
    );
    select.replaceChildren(
      el("option", { value: "" }, options.prompt ?? "add …"),
      ...choices.filter(([value]) => !chosen.includes(value)).map(([value, text]) => el("option", { value }, escaped(text))),
    );
  }
  draw();
  const node = labelled(label, select, { path: name, ...options });
  node.querySelector(".control").prepend(chips);
  return simple(node, name, () => JSON.stringify(chosen));
}

// objectField edits an object with any members, one row for each. Values other than plain
// strings are shown and edited as JSON.
export function objectField(raw, name, label, options = {}) {
  const before = raw.object(name);
  const rows = el("div", { class: "rows" });
  const readRow = [];

  function addRow(member, text) {
    const plain = text === undefined || (text[0] === '"' && !isMisleading(JSON.parse(text)));
    const nameInput = textInput(member, { "aria-label": `${label}: name`, placeholder: "name" });
    const value = textInput(text === undefined ? "" : plain ? JSON.parse(text) : escaped(text), { "aria-label": `${label}: value`, placeholder: "value" });
    const kind = el("select", { "aria-label": `${label}: type of value` }, el("option", { value: "text" }, "text"), el("option", { value: "json" }, "JSON"));
    kind.value = plain ? "text" : "json";
    const shown = value.value;
    const row = el("div", { class: "row", "data-path": `${name}.${member}` }, nameInput, value, kind, el("button", { type: "button", "aria-label": `Remove ${escaped(member) || "row"}`, click: remove }, "×"), el("p", { class: "problem" }));
    const read = () => {
      row.dataset.path = `${name}.${nameInput.value}`;
      row.dataset.label = `${label} ${escaped(nameInput.value)}`;
      if (nameInput.value === "" && value.value === "") return null;
      if (value.value === shown && text !== undefined && (kind.value === "text") === plain) return [nameInput.value, text];
      if (kind.value === "text") return [nameInput.value, JSON.stringify(value.value)];
      try {
        JSON.parse(value.value);
      } catch {
        throw new FieldProblem(row.dataset.path, `${row.dataset.path}: must be JSON, such as 5, true, "text" or {"a": 1}`);
      }
      return [nameInput.value, value.value.trim()];
    };
    function remove() {
      readRow.splice(readRow.indexOf(read), 1);
      row.remove();
      add.focus();
    }
    readRow.push(read);
    rows.append(row);
    return nameInput;
  }

  for (const member of before.names()) addRow(member, before.text(member));
  const add = button("Add", () => addRow("", undefined).focus());
  const node = el("fieldset", { class: "field", "data-path": name }, el("legend", {}, label), options.hint ? el("p", { class: "hint" }, options.hint) : null, rows, add, el("p", { class: "problem" }));
  const read = () => {
    const members = readRow.map((f) => f()).filter((row) => row !== null);
    return "{" + members.map(([member, text]) => JSON.stringify(member) + ":" + text).join(",") + "}";
  };
  return simple(node, name, read);
}

// FieldProblem is an error in a field that the page finds itself.
export class FieldProblem extends Error {
  constructor(path, message) {
    super(message);
    this.path = path;
  }
}

// group puts fields under a heading.
export function group(title, fields, hint) {
  return {
    node: el("fieldset", { class: "group" }, el("legend", {}, title), hint ? el("p", { class: "hint" }, hint) : null, el("div", { class: "fields" }, fields.map((field) => field.node))),
    write: (target) => writeAll(fields, target),
  };
}

// clearProblems removes all messages from a form.
export function clearProblems(form) {
  for (const p of form.querySelectorAll(".problem")) p.textContent = "";
  for (const c of form.querySelectorAll("[aria-invalid]")) c.removeAttribute("aria-invalid");
}

// showProblems splits a message of the server and puts each part beside the field that it
// names, by the label of the field. It returns the parts that no field matches. The first field
// with a problem gets the focus.
export function showProblems(form, message) {
  const places = new Map();
  for (const node of form.querySelectorAll("[data-path]")) places.set(node.dataset.path, node);
  for (const node of form.querySelectorAll("[data-also]")) places.set(node.dataset.also, node);
  let first = null;
  const rest = [];
  for (const part of parts(message.replace(/^Request malformed: /, ""))) {
    const path = pathIn(part, places);
    const node = places.get(path);
    const room = node?.querySelector(":scope > .problem") ?? node?.querySelector(":scope > div > .problem");
    if (!room) {
      rest.push(part);
      continue;
    }
    room.textContent += (room.textContent && "\n") + labelledPart(part, path, node);
    for (let at = node.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
    const control = node.querySelector("input, select, textarea, button");
    control?.setAttribute("aria-invalid", "true");
    first ??= control;
  }
  first?.focus();
  return rest.join("; ");
}

// parts splits a message at each "; " that is followed by a path and not in a quoted value.
function parts(message) {
  const all = [];
  let quoted = false;
  let from = 0;
  for (let i = 0; i < message.length; i++) {
    const c = message[i];
    if (quoted && c === "\\") i++;
    else if (c === '"') quoted = !quoted;
    else if (!quoted && c === ";" && /^; (?:[a-z_][^\s=]*(?: = |: )|and \d+ more)/.test(message.slice(i, i + 300))) {
      all.push(message.slice(from, i));
      from = i + 2;
    }
  }
  all.push(message.slice(from));
  return all;
}

// labelledPart replaces the path in a message by the label on the screen. A path to something
// inside of a field stays, because no label names it; an entry of a list is counted from 1.
function labelledPart(part, path, node) {
  const rest = part.slice(path.length);
  const entry = rest.match(/^\[(\d+)\](?= = |: )/);
  if (!entry && !/^(?: = |: )/.test(rest)) return part;
  const control = node.querySelector("input, select, textarea");
  const label = node.dataset.label ?? node.querySelector("label, legend, .label")?.textContent ?? control?.getAttribute("aria-label");
  if (!label) return part;
  return label.trim() + (entry ? `, entry ${Number(entry[1]) + 1}${rest.slice(entry[0].length)}` : rest);
}

// pathIn returns the longest path of a field that a message begins with, or "".
function pathIn(part, places) {
  let longest = "";
  for (const path of places.keys()) {
    if (path.length > longest.length && part.startsWith(path) && /^(?: = |: |[.[])/.test(part.slice(path.length))) longest = path;
  }
  return longest;
}
