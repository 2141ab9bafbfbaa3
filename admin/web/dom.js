// All elements of the page are made here. Text goes in as text: nothing is parsed as HTML.

import { escaped } from "./json.js";

// el makes an element. A prop that is a function becomes a listener for the event of that
// name; value and checked become properties, all others attributes. Children are nodes or
// text. null, undefined and false are left out.
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

// stored shows text that comes from the database. It is isolated, so that its direction does
// not affect the text around it, and its misleading characters are escaped.
export function stored(text, className) {
  return el("bdi", { class: className }, escaped(String(text)));
}

let ids = 0;

// newID returns an unused id for an element that another element refers to.
export function newID(prefix) {
  return `${prefix}-${++ids}`;
}

export function button(label, onClick, className = "") {
  return el("button", { type: "button", class: className, click: onClick }, label);
}

// table makes a table. Each cell carries the name of its column, which narrow screens show.
// The first cell of a row names the row.
export function table(caption, columns, rows) {
  const head = el("tr", {}, columns.map((column) => el("th", { scope: "col" }, column)));
  const body = rows.map((cells) =>
    el("tr", {}, cells.map((cell, i) => el(i === 0 ? "th" : "td", { scope: i === 0 ? "row" : null, "data-label": columns[i] }, cell))),
  );
  return el("table", {}, el("caption", { class: "hidden" }, caption), el("thead", {}, head), el("tbody", {}, body));
}

// confirmed asks before an action that cannot be undone, and returns whether the user agrees.
// yes is the label of the button that agrees.
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

// per returns a period in words, such as "per minute" for 60 seconds.
export function per(seconds) {
  return "per " + span(seconds).replace(/^1 /, "");
}

// span returns a number of seconds in the largest unit that fits exactly, such as "2 hours".
export function span(seconds) {
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (seconds >= size && seconds % size === 0) return `${count(seconds / size)} ${unit}${seconds === size ? "" : "s"}`;
  }
  return `${count(seconds)} second${seconds === 1 ? "" : "s"}`;
}

// inAWhile returns a number of seconds rounded to one unit, such as "23 hours".
export function inAWhile(seconds) {
  for (const [unit, size] of [["days", 86400], ["hours", 3600], ["minutes", 60]]) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return span(Math.max(0, Math.ceil(seconds)));
}

const dateTime = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

// date returns a time in Unix seconds as text in the time zone of the browser, such as
// "3 Nov 2026, 14:05".
export function date(unix) {
  return dateTime.format(new Date(unix * 1000));
}
