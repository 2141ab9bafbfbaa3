// The editor of a session or a policy: a form, or all of it as JSON.

import { button, el, newID } from "./dom.js";
import { clearProblems, showProblems, writeAll } from "./fields.js";
import { edited, pretty, RawObject } from "./json.js";

// editor makes one. text is the object as it is stored; fields(raw) makes the fields;
// save(raw, keep) writes it and throws what the server refuses; without a submit it is
// only shown. keep offers not to start quota and rate afresh.
export function editor({ text, fields, submit, keep, save, signal }) {
  const message = el("p", { class: "message bad", role: "alert", hidden: true });
  const body = el("fieldset", { class: "fields-of-form", disabled: !submit });
  const keepBox = el("input", { type: "checkbox", checked: true, id: newID("keep") });
  const asForm = button("Form", () => turn(false), "tab");
  const asJSON = button("JSON", () => turn(true), "tab");
  const send = el("button", { class: "primary" }, submit ?? "");
  const form = el(
    "form",
    { class: "editor", novalidate: true, submit: submitted },
    el("div", { class: "tabs", role: "group", "aria-label": "How to edit" }, asForm, asJSON),
    body,
    message,
    el("div", { class: "savebar", hidden: !submit }, send, keep ? el("label", { class: "tick", for: keepBox.id }, keepBox, " Keep used quota and rate") : null),
  );

  let raw = new RawObject(text); // as it would be saved
  let drawn = text; // what the fields show
  let current = [];
  let area = null; // of the JSON, while that is shown
  let shownText = "";

  function draw(json) {
    asForm.setAttribute("aria-pressed", String(!json));
    asJSON.setAttribute("aria-pressed", String(json));
    if (json) {
      shownText = pretty(raw.toString());
      area = el("textarea", { id: newID("json"), spellcheck: "false", rows: Math.min(40, shownText.split("\n").length + 2), value: shownText, dir: "ltr", "aria-label": "The object as JSON" });
      body.replaceChildren(area, el("p", { class: "hint" }, "All that is stored, also what does not act. What is not changed stays byte for byte."));
    } else {
      area = null;
      drawn = raw.toString();
      current = fields(raw);
      body.replaceChildren(...current.map((field) => field.node));
    }
  }

  // take puts what is entered into raw.
  function take() {
    if (area === null) {
      const target = new RawObject(drawn);
      writeAll(current, target);
      raw = target;
    } else if (area.value !== shownText) {
      raw = new RawObject(edited(raw.toString(), area.value));
    }
  }

  function turn(json) {
    if (json === (area !== null)) return;
    try {
      complain("");
      take();
    } catch (error) {
      complain(error);
      return;
    }
    draw(json);
    (json ? asJSON : asForm).focus();
  }

  function complain(error) {
    clearProblems(form);
    message.hidden = true;
    if (!error) return;
    const rest = area === null ? showProblems(form, error.message) : error.message;
    message.textContent = rest;
    message.hidden = rest === "";
    if (rest !== "") message.scrollIntoView({ block: "nearest" });
  }

  async function submitted(event) {
    event.preventDefault();
    complain("");
    send.disabled = true;
    try {
      take();
      await save(raw, keepBox.checked);
    } catch (error) {
      if (error.name !== "AbortError" && !signal.aborted) complain(error);
    }
    send.disabled = false;
  }

  draw(false);
  return form;
}
