// Reads openapi.json: resolves references and describes schemas in words.

// resolve follows a reference and merges the parts of an allOf. Members beside the allOf
// override those in its parts.
export function resolve(doc, value) {
  if (value.$ref) {
    value = value.$ref.split("/").slice(1).reduce((under, name) => under[name], doc);
  }
  if (!value.allOf) return value;
  const { allOf, ...own } = value;
  const parts = allOf.map((part) => resolve(doc, part));
  return { ...Object.assign({}, ...parts), ...own, required: parts.flatMap((part) => part.required ?? []) };
}

// typeOf describes the type of a schema's values in a few words.
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

// limitsOf describes the constraints of a schema besides its type, or returns "" if there are
// none.
export function limitsOf(schema) {
  const said = [];
  if (schema.readOnly) said.push("set by sidekey");
  if (schema.enum && schema.enum[0] !== null) said.push(`one of ${schema.enum.map((value) => JSON.stringify(value)).join(", ")}`);
  said.push(span(schema.minimum, schema.maximum, ""), span(schema.minLength, schema.maxLength, " bytes"), span(schema.minItems, schema.maxItems, " entries"));
  if (schema.pattern) said.push(`matching ${schema.pattern}`);
  return said.filter(Boolean).join("; ");
}

function span(min, max, unit) {
  if (min !== undefined && max !== undefined) return `${min} to ${max}${unit}`;
  if (max !== undefined) return `at most ${max}${unit}`;
  return min !== undefined ? `at least ${min}${unit}` : "";
}

// examplePath returns the path of an operation, filled with the examples of its parameters.
export function examplePath(doc, o) {
  let path = o.path;
  for (const parameter of o.parameters ?? []) {
    const p = resolve(doc, parameter);
    if (p.in === "path") path = path.replace(`{${p.name}}`, encodeURIComponent(p.example));
  }
  return path;
}
