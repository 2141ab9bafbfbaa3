// JSON objects whose unchanged members keep their text. JSON.parse would lose large numbers,
// the spelling of numbers and strings, and white space. An object is therefore split into its
// members, and a session or policy is written back with only the user's changes.

const string = /"(?:[^"\\]|\\.)*"/y;
const scalar = /[^\s,\]}]+/y;

function skipSpace(text, at) {
  while (" \t\r\n".includes(text[at]) && at < text.length) at++;
  return at;
}

function match(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

// endOfValue returns the position after the value that begins at a position.
function endOfValue(text, at) {
  if (text[at] === '"') return match(string, text, at);
  if (text[at] !== "{" && text[at] !== "[") return match(scalar, text, at);
  let depth = 0;
  do {
    const c = text[at];
    if (c === '"') {
      at = match(string, text, at);
      continue;
    }
    if (c === "{" || c === "[") depth++;
    if (c === "}" || c === "]") depth--;
    at++;
  } while (depth > 0);
  return at;
}

// split returns the texts of the values in an object or array, and for an object also their
// names as they are written, with quotes. The text must be valid JSON.
function split(text) {
  const inObject = text[0] === "{";
  const parts = [];
  let at = skipSpace(text, 1);
  while (text[at] !== "}" && text[at] !== "]") {
    let name = null;
    if (inObject) {
      const end = match(string, text, at);
      name = text.slice(at, end);
      at = skipSpace(text, skipSpace(text, end) + 1);
    }
    const end = endOfValue(text, at);
    parts.push({ name, text: text.slice(at, end) });
    at = skipSpace(text, end);
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
  return parts;
}

// RawObject is a JSON object whose members keep their text until they are set.
export class RawObject {
  #members = new Map();

  // The constructor throws an error of JSON.parse, or a TypeError, if text is not an object.
  constructor(text = "{}") {
    text = text.trim();
    const value = JSON.parse(text);
    if (value === null || typeof value !== "object" || Array.isArray(value)) {
      throw new TypeError("must be a JSON object: { … }");
    }
    for (const part of split(text)) {
      const name = JSON.parse(part.name);
      if (this.#members.has(name)) throw new TypeError(`duplicate member ${part.name}`);
      this.#members.set(name, part.text);
    }
  }

  names() {
    return [...this.#members.keys()];
  }

  // text returns the JSON text of a member, or undefined.
  text(name) {
    return this.#members.get(name);
  }

  get(name) {
    const text = this.#members.get(name);
    return text === undefined ? undefined : JSON.parse(text);
  }

  // object returns a member that is an object, or an empty object if it is missing or null.
  object(name) {
    const text = this.#members.get(name);
    return new RawObject(text === undefined || text === "null" ? "{}" : text);
  }

  set(name, value) {
    this.#members.set(name, JSON.stringify(value));
  }

  setText(name, text) {
    this.#members.set(name, text);
  }

  delete(name) {
    this.#members.delete(name);
  }

  toString() {
    return "{" + [...this.#members].map(([name, text]) => JSON.stringify(name) + ":" + text).join(",") + "}";
  }
}

// pretty indents JSON without changing how anything in it is written.
export function pretty(text, indent = "") {
  text = text.trim();
  if (text[0] !== "{" && text[0] !== "[") return escaped(text);
  const parts = split(text);
  const [open, close] = text[0] === "{" ? "{}" : "[]";
  if (parts.length === 0) return open + close;
  const deeper = indent + "  ";
  const lines = parts.map(({ name, text }) => deeper + (name === null ? "" : escaped(name) + ": ") + pretty(text, deeper));
  return `${open}\n${lines.join(",\n")}\n${indent}${close}`;
}

// misleading matches control characters and characters that change how the text around them
// is displayed. The server uses the same set.
const misleading = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]/g;

export function isMisleading(text) {
  return text.search(misleading) >= 0;
}

// escaped replaces misleading characters by their JSON escapes.
export function escaped(text) {
  return text.replace(misleading, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
}

// edited returns the object that a person typed over pretty(before). Members that still look
// the same keep their text in before.
export function edited(before, text) {
  const old = new RawObject(before);
  const now = new RawObject(text);
  for (const name of now.names()) {
    const was = old.text(name);
    if (was !== undefined && pretty(was) === pretty(now.text(name))) now.setText(name, was);
  }
  return now.toString();
}
