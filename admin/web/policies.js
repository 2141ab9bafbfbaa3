// The views of policies, which are limits and rights that many users share.

import { ask, get } from "./api.js";
import { button, confirmed, count, el, per, stored, table } from "./dom.js";
import { editor } from "./editor.js";
import { checkField, group, listField, numberField, objectField, secondsField, textField, within } from "./fields.js";
import { go, notice } from "./notice.js";
import { periods, rightsField } from "./rights.js";
import { rateText } from "./users.js";

const parts = ["rate_limit", "quota", "acl", "complexity", "per_api"];

function link(id) {
  return `#/policies/of/${encodeURIComponent(id)}`;
}

// ofFile returns whether a policy comes from the configuration file. Those have no date.
function ofFile(policy) {
  return policy.date_created.startsWith("0001-");
}

function stateOf(policy) {
  return policy.is_inactive || policy.active === false ? el("span", { class: "badge bad" }, "inactive") : el("span", { class: "badge good" }, "active");
}

export async function policiesView({ main, signal }) {
  const { Data: policies } = await get("/api/portal/policies?p=-1", { signal });
  main.append(el("div", { class: "head" }, el("h1", {}, "Policies"), el("a", { class: "button primary", href: "#/policies/new" }, "New policy")));
  if (policies.length === 0) {
    main.append(el("p", { class: "empty" }, "No policies yet. A policy gives its limits and rights to every user who has it."));
    return;
  }
  main.append(
    table("Policies", ["Policy", "State", "Rate", "Quota", "APIs", "Applies", "Tags"], policies.map((policy) => [
      el("a", { href: link(policy.id) }, stored(policy.name || policy.id), policy.name ? el("small", {}, " ", stored(policy.id)) : null),
      el("span", {}, stateOf(policy), ofFile(policy) ? [" ", el("span", { class: "badge" }, "file")] : null),
      rateText(policy),
      policy.quota_max > 0 ? `${count(policy.quota_max)}${policy.quota_renewal_rate > 0 ? ` ${per(policy.quota_renewal_rate)}` : ""}` : "",
      el("span", {}, Object.keys(policy.access_rights ?? {}).map((id) => [stored(id, "label"), " "])),
      parts.filter((part) => policy.partitions[part]).join(", ") || "everything",
      el("span", {}, (policy.tags ?? []).map((tag) => [stored(tag, "label"), " "])),
    ])),
  );
}

export async function newPolicyView({ main, signal }) {
  const { apis } = await get("/api/apis", { signal });
  main.append(
    el("h1", {}, "New policy"),
    editor({
      text: "{}",
      fields: (raw) => policyFields(raw, apis, true),
      submit: "Create",
      signal,
      async save(raw) {
        const answer = await ask("POST", "/api/portal/policies", { body: raw.toString() });
        go(link(JSON.parse(answer.text).Message), answer.warnings ? "warn" : "good", el("strong", {}, "Created. "), answer.warnings ?? "");
      },
    }),
  );
}

export async function policyView({ main, params: [id], signal }) {
  const path = `/api/portal/policies/${encodeURIComponent(id)}`;
  const [{ text }, { apis }] = await Promise.all([ask("GET", path, { signal }), get("/api/apis", { signal })]);
  const policy = JSON.parse(text);
  main.append(el("div", { class: "head" }, el("h1", {}, stored(policy.name || id)), stateOf(policy), ofFile(policy) ? null : button("Delete", remove, "danger")));
  main.append(el("p", { class: "facts" }, "id ", el("code", {}, stored(id)), " · org ", el("code", {}, stored(policy.org_id))));
  if (ofFile(policy)) {
    main.append(el("p", { class: "message" }, "This policy is defined in the configuration file. Change it there."));
  }
  main.append(
    editor({
      text,
      fields: (raw) => policyFields(raw, apis.filter((api) => api.org_id === policy.org_id), false),
      submit: ofFile(policy) ? null : "Save",
      signal,
      async save(raw) {
        const answer = await ask("PUT", path, { body: raw.toString() });
        go(location.hash, answer.warnings ? "warn" : "good", el("strong", {}, "Saved: "), "it applies from the next request of every user who has it. ", answer.warnings ?? "");
      },
    }),
  );

  async function remove() {
    if (!(await confirmed("Delete", "Delete the policy ", stored(id), "?"))) return;
    try {
      await ask("DELETE", path);
    } catch (error) {
      if (error.status !== 409 || !error.message.includes("?force=1")) {
        notice("bad", error.message);
        return;
      }
      if (!(await confirmed("Delete and refuse these users", error.message.replace(/: change them first.*/, ""), ". Delete it anyway?"))) return;
      try {
        await ask("DELETE", `${path}?force=1`);
      } catch (error) {
        notice("bad", error.message);
        return;
      }
    }
    go("#/policies", "good", "Deleted: ", stored(id));
  }
}

function policyFields(raw, apis, isNew) {
  const names = [textField(raw, "name", "Name")];
  if (isNew) names.unshift(textField(raw, "id", "ID", { hint: "Empty: generated." }), textField(raw, "org_id", "Org", { hint: "Empty: the default org." }));
  const partitions = raw.object("partitions");
  const boxes = [
    ["rate_limit", "its rate"],
    ["quota", "its quota"],
    ["acl", "its rights"],
    ["per_api", "the limits of each right, instead of the policy's own"],
  ].map(([name, label]) => checkField(partitions, name, label, { path: `partitions.${name}` }));
  return [
    group("Name", names),
    group("State", [
      checkField(raw, "is_inactive", "Inactive: users who have this policy are refused"),
      secondsField(raw, "key_expires_in", "New users expire", [[0, "never"], [86400, "after a day"], [604800, "after a week"], [2592000, "after 30 days"], [31536000, "after a year"]]),
    ]),
    group("Rate", [numberField(raw, "rate", "Requests", { hint: "0: no limit." }), numberField(raw, "per", "per this many seconds")]),
    group("Quota", [numberField(raw, "quota_max", "Requests", { hint: "-1: no limit." }), secondsField(raw, "quota_renewal_rate", "Renews", periods)]),
    within("partitions", boxes, group("Applies to its users", boxes, "None ticked: everything.").node),
    group("Labels", [listField(raw, "tags", "Tags", { hint: "Separated by commas. They replace the user's tags." })]),
    rightsField(raw, apis, "No rights: this policy alone grants no access."),
    objectField(raw, "meta_data", "Metadata", { hint: "Added to the user's. If both define a name, the policy's value is used." }),
  ];
}
