// How openapi.json is read: references, and schemas in words.

// resolve returns what a reference leads to. A schema with one allOf is that one with
// what stands beside it put over it; several are taken together.
export function resolve(doc, value) {
  if (value.$ref) {
    value = value.$ref.split("/").slice(1).reduce((under, name) => under[name], doc);
  }
  if (!value.allOf) return value;
  const { allOf, ...own } = value;
  const parts = allOf.map((part) => resolve(doc, part));
  return { ...Object.assign({}, ...parts), ...own, required: parts.flatMap((part) => part.required ?? []) };
}

// typeOf is what kind of value a schema wants, in a few words.
export function typeOf(doc, schema) {
  schema = resolve(doc, schema);
  const kind = kindOf(doc, schema);
  return schema.nullable && kind !== "null" ? `${kind} or null` : kind;
}

function kindOf(doc, schema) {
  if (schema.enum?.length === 1 && schema.enum[0] === null) return "null";
  if (schema.type === "array") return `list of ${typeOf(doc, schema.items)}`;
  if (schema.type === "object") {
    const under = schema.additionalProperties;
    return under?.$ref || under?.type ? `map of ${typeOf(doc, under)}` : "object";
  }
  return { string: "text", integer: "whole number", number: "number", boolean: "true or false" }[schema.type] ?? "anything";
}

// limitsOf is what a schema allows besides its type; "" where that is all.
export function limitsOf(schema) {
  const said = [];
  if (schema.readOnly) said.push("set by sidekey");
  if (schema.enum && schema.enum[0] !== null) said.push(`one of ${schema.enum.map((value) => JSON.stringify(value)).join(", ")}`);
  said.push(span(schema.minimum, schema.maximum, ""), span(schema.minLength, schema.maxLength, " bytes"), span(schema.minItems, schema.maxItems, " entries"));
  if (schema.pattern) said.push(`matching ${schema.pattern}`);
  return said.filter(Boolean).join("; ");
}

function span(least, most, unit) {
  if (least !== undefined && most !== undefined) return `${least} to ${most}${unit}`;
  if (most !== undefined) return `at most ${most}${unit}`;
  return least !== undefined ? `at least ${least}${unit}` : "";
}

// examplePath is the path of a request with the examples of its parameters in it.
export function examplePath(doc, o) {
  let path = o.path;
  for (const parameter of o.parameters ?? []) {
    const p = resolve(doc, parameter);
    if (p.in === "path") path = path.replace(`{${p.name}}`, encodeURIComponent(p.example));
  }
  return path;
}
