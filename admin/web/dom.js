// Elements are made here and nowhere else. Text goes in as text: nothing is ever parsed
// as HTML.

import { escaped } from "./json.js";

// el makes an element. Of props, class, for, href, type and the like are attributes,
// functions are listeners by the name of their event. Children are nodes or text; null
// and false are left out.
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  setProps(node, props);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const svgSpace = "http://www.w3.org/2000/svg";

export function svg(tag, props = {}, ...children) {
  const node = document.createElementNS(svgSpace, tag);
  setProps(node, props);
  node.append(...children);
  return node;
}

function setProps(node, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else if (name === "value" || name === "checked") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
}

// stored shows text that somebody stored: isolated, so that its direction cannot reach
// the text around it, and with misleading characters written out.
export function stored(text, className) {
  return el("bdi", { class: className }, escaped(String(text)));
}

let ids = 0;

// newID returns an id for what another element refers to.
export function newID(prefix) {
  return `${prefix}-${++ids}`;
}

export function button(label, onClick, className = "") {
  return el("button", { type: "button", class: className, click: onClick }, label);
}

// table makes a table whose cells know their column, which narrow screens show. A
// row's first cell names the row.
export function table(caption, columns, rows) {
  const head = el("tr", {}, columns.map((column) => el("th", { scope: "col" }, column)));
  const body = rows.map((cells) =>
    el("tr", {}, cells.map((cell, i) => el(i === 0 ? "th" : "td", { scope: i === 0 ? "row" : null, "data-label": columns[i] }, cell))),
  );
  return el("table", {}, el("caption", { class: "hidden" }, caption), el("thead", {}, head), el("tbody", {}, body));
}

// confirmed asks before what cannot be taken back; yes is what the button says that does
// it.
export function confirmed(yes, ...question) {
  return new Promise((resolve) => {
    const close = (answer) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    const text = el("p", { id: newID("question") }, question);
    const cancel = button("Cancel", () => close(false));
    cancel.autofocus = true;
    const dialog = el(
      "dialog",
      { "aria-labelledby": text.id, cancel: () => close(false) },
      text,
      el("div", { class: "actions" }, button(yes, () => close(true), "danger"), cancel),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

const number = new Intl.NumberFormat("en");

export function count(n) {
  return number.format(n);
}

// per is "per" and a number of seconds as people say it.
export function per(seconds) {
  return "per " + span(seconds).replace(/^1 /, "");
}

export function span(seconds) {
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (seconds >= size && seconds % size === 0) return `${count(seconds / size)} ${unit}${seconds === size ? "" : "s"}`;
  }
  return `${count(seconds)} s`;
}

// inAWhile is how far away a moment is, roughly.
export function inAWhile(seconds) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.max(0, Math.ceil(seconds))} s`;
}

const dateTime = new Intl.DateTimeFormat("en-CA", { dateStyle: "short", timeStyle: "short", hour12: false });

// date is a moment in Unix seconds in the time zone of the browser.
export function date(unix) {
  return dateTime.format(new Date(unix * 1000)).replace(",", "");
}
