// The editor for a session or a policy, as a form or as JSON.

import { button, el, newID } from "./dom.js";
import { clearProblems, showProblems, writeAll } from "./fields.js";
import { edited, pretty, RawObject } from "./json.js";

// editor makes an editor for the JSON object text. fields(raw) makes the fields of the form.
// save(raw, keep) writes the object and throws the server's refusal. submit is the label of
// the save button; without it, the object is only shown. If keep is set, the editor offers to
// save without resetting the used quota and rate.
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
    el("div", { class: "tabs", role: "group", "aria-label": "Edit as" }, asForm, asJSON),
    body,
    message,
    el("div", { class: "savebar", hidden: !submit }, send, keep ? el("label", { class: "tick", for: keepBox.id }, keepBox, " Keep used quota and rate") : null),
  );

  let raw = new RawObject(text); // as it would be saved
  let drawn = text; // the object that the fields show
  let current = [];
  let area = null; // the text area, while the JSON is shown
  let shownText = "";

  function draw(json) {
    asForm.setAttribute("aria-pressed", String(!json));
    asJSON.setAttribute("aria-pressed", String(json));
    if (json) {
      shownText = pretty(raw.toString());
      area = el("textarea", { id: newID("json"), spellcheck: "false", rows: Math.min(40, shownText.split("\n").length + 2), value: shownText, dir: "ltr", "aria-label": "JSON" });
      body.replaceChildren(area, el("p", { class: "hint" }, "Everything that is stored, including members that have no effect. Members that you do not change stay the same, byte for byte."));
    } else {
      area = null;
      drawn = raw.toString();
      current = fields(raw);
      body.replaceChildren(...current.map((field) => field.node));
    }
  }

  // take copies the user's entries into raw.
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
