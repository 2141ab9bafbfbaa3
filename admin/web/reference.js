// The API reference, a readable form of openapi.json. It needs no secret and sends none.

import { button, el, newID, table } from "./dom.js";
import { examplePath, limitsOf, resolve, typeOf } from "./openapi.js";

const methods = ["get", "post", "put", "patch", "delete"];

async function show(main) {
  const response = await fetch("/openapi.json", { credentials: "omit", redirect: "error" });
  if (!response.ok) throw new Error(`openapi.json: ${response.status} ${response.statusText}`);
  const doc = await response.json();
  const operations = [];
  for (const [path, item] of Object.entries(doc.paths)) {
    for (const method of methods.filter((method) => item[method])) operations.push({ method, path, ...item[method] });
  }
  const status = el("p", { class: "hint", role: "status" }, `${operations.length} requests`);
  const filter = el("input", { id: "filter", type: "search", autocomplete: "off", spellcheck: "false" });
  const sections = doc.tags.map((tag) => section(doc, tag, operations.filter((o) => o.tags.includes(tag.name))));
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const part of sections) {
      const cards = [...part.querySelectorAll(".operation")];
      for (const card of cards) card.hidden = !words.every((word) => card.dataset.text.includes(word));
      const fit = cards.filter((card) => !card.hidden).length;
      part.hidden = fit === 0;
      left += fit;
    }
    status.textContent = words.length > 0 ? `${left} of ${operations.length} requests` : `${operations.length} requests`;
  });
  main.append(
    el(
      "div",
      { class: "view reference" },
      el("h1", {}, "API reference"),
      doc.info.description.split("\n\n").map((text) => el("p", {}, text)),
      el("h2", {}, "The secret"),
      el("p", {}, "Every request must carry the admin secret in one of these ways. Some requests need no secret if they come from this machine; their descriptions say so."),
      el("dl", {}, Object.values(doc.components.securitySchemes).map((scheme) => [
        el("dt", {}, el("code", {}, scheme.type === "http" ? "Authorization: Bearer SECRET" : `${scheme.name}: SECRET`)),
        el("dd", {}, scheme.description),
      ])),
      el("nav", { class: "contents", "aria-label": "Parts" }, doc.tags.map((tag, i) => el("a", { href: `#${sections[i].id}` }, tag.name))),
      el("div", { class: "search" }, el("label", { for: "filter" }, "Filter"), " ", filter, status),
      sections,
    ),
  );
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target?.matches("details")) target.open = true;
    target?.scrollIntoView();
  };
  window.addEventListener("hashchange", reveal);
  reveal();
}

function section(doc, tag, operations) {
  const heading = el("h2", { id: newID("heading") }, tag.name);
  return el(
    "section",
    { id: tag.name.toLowerCase().replace(/[^a-z]+/g, "-"), "aria-labelledby": heading.id },
    heading,
    el("p", { class: "hint" }, tag.description),
    operations.map((o) => operation(doc, o)),
  );
}

// operation shows an operation in one line, and its details once the line is opened.
function operation(doc, o) {
  return opening(
    {
      class: "operation",
      id: o.operationId,
      "data-text": `${o.method} ${o.path} ${o.summary} ${o.tags.join(" ")} ${o.operationId}`.toLowerCase(),
    },
    [el("span", { class: `method ${o.method}` }, o.method.toUpperCase()), " ", el("code", {}, o.path), " ", el("span", { class: "says" }, o.summary)],
    () => [
      o.description && el("p", {}, prose(o.description)),
      o.security && el("p", {}, "A caller on this machine needs no secret."),
      parameters(doc, o),
      sent(doc, o),
      el("h3", {}, "Example"),
      copied(curl(doc, o)),
      el("h3", {}, "Answers"),
      Object.entries(o.responses).map(([status, response]) => answer(doc, status, resolve(doc, response))),
    ],
  );
}

// opening makes a details element that is filled when it is first opened.
function opening(props, summary, fill) {
  const details = el("details", props, el("summary", {}, summary));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) {
      details.append(el("div", { class: "opened" }, fill()));
    }
  });
  return details;
}

function parameters(doc, o) {
  if (!o.parameters) return null;
  return [
    el("h3", {}, "Parameters"),
    table("Parameters", ["Name", "In", "Type", "Meaning"], o.parameters.map((p) => {
      p = resolve(doc, p);
      return [el("code", {}, p.name), p.in, [typeOf(doc, p.schema), limits(p.schema)], prose(p.description ?? "")];
    })),
  ];
}

// prose converts a text of openapi.json: `...` becomes code.
function prose(text) {
  return text.split("`").map((part, i) => (i % 2 === 1 ? el("code", {}, part) : part));
}

function limits(schema) {
  const text = limitsOf(schema);
  return text && el("small", {}, `, ${text}`);
}

function sent(doc, o) {
  if (!o.requestBody) return null;
  const [[kind, media]] = Object.entries(o.requestBody.content);
  const schema = media.schema["x-line"] ?? media.schema;
  return [el("h3", {}, "Body"), el("p", { class: "hint" }, kind, o.requestBody.description && `. ${o.requestBody.description}`), tree(doc, schema)];
}

function answer(doc, status, response) {
  const contents = Object.entries(response.content ?? {});
  const title = [el("span", { class: status < 300 ? "badge good" : "badge bad" }, status), " ", el("span", { class: "says" }, prose(response.description))];
  return opening({ class: "answer" }, title, () => [
    Object.entries(response.headers ?? {}).map(([name, header]) => el("p", {}, el("code", {}, name), ": ", resolve(doc, header).description)),
    el("p", { class: "hint" }, contents.map(([kind]) => kind).join(", ")),
    contents.slice(0, 1).map(([, media]) => [
      tree(doc, media.schema),
      example(media.example ?? resolve(doc, media.schema).example),
    ]),
  ]);
}

function example(value) {
  if (value === undefined) return null;
  return [el("h4", {}, "Example"), el("pre", {}, typeof value === "string" ? value : JSON.stringify(value, null, 2))];
}

// tree shows a schema: its description and its members, which can be opened.
function tree(doc, schema) {
  schema = resolve(doc, schema);
  if (schema.oneOf) return schema.oneOf.map((one, i) => [i > 0 && el("p", {}, "or"), tree(doc, one)]);
  return [schema.description && el("p", {}, prose(schema.description)), members(doc, schema) ?? el("p", {}, typeOf(doc, schema), limits(schema))];
}

// members lists the members of an object, a map or a list's entries. It returns a falsy value
// if there are none.
function members(doc, schema) {
  schema = resolve(doc, schema);
  if (schema.items) return members(doc, schema.items);
  const rows = Object.entries(schema.properties ?? {}).map(([name, under]) => member(doc, name, under, schema.required?.includes(name)));
  if (schema.additionalProperties?.type || schema.additionalProperties?.$ref) rows.push(member(doc, "any name", schema.additionalProperties));
  return rows.length > 0 && el("ul", { class: "members" }, rows);
}

function member(doc, name, schema, required) {
  const whole = resolve(doc, schema);
  const line = [
    el("code", {}, name),
    " ",
    el("span", { class: "type" }, typeOf(doc, schema), required && ", required"),
    limits(whole),
    whole.description && el("span", {}, " ", prose(whole.description)),
  ];
  const inside = whole.items ? resolve(doc, whole.items) : whole;
  const more = inside.properties || inside.additionalProperties?.$ref;
  return el("li", {}, more ? opening({}, line, () => members(doc, whole)) : line);
}

function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

// curl returns a shell command that sends the request.
function curl(doc, o) {
  const parts = ["curl"];
  if (!o.security) parts.push("-H @<(sidekey secret -header)"); // not an argument, which every user of the machine can see
  if (o.method !== "get" && !(o.method === "post" && o.requestBody)) parts.push(`-X ${o.method.toUpperCase()}`);
  parts.push(quoted(location.origin + examplePath(doc, o)));
  const [media] = Object.values(o.requestBody?.content ?? {});
  if (typeof media?.example === "string") parts.push(`--data-binary ${quoted(media.example)}`);
  else if (media) parts.push(`-d ${quoted(JSON.stringify(media.example, null, 2))}`);
  if (o.responses["200"].content?.["application/octet-stream"]) parts.push("-o sidekey.backup.db");
  return parts.join(" \\\n  ");
}

function copied(text) {
  const copy = button("Copy", async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
  }, "small");
  return el("div", { class: "typed" }, el("pre", {}, text), copy);
}

const main = document.getElementById("main");
show(main).catch((error) => main.append(el("p", { class: "message bad", role: "alert" }, error.message)));
