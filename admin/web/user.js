// The view of a user: live limits and an editor.

import { ask, get, Refused, token } from "./api.js";
import { button, confirmed, count, date, el, inAWhile, per, span, stored } from "./dom.js";
import { editor } from "./editor.js";
import { checkField, chosenField, group, labelled, listField, numberField, objectField, secondsField, textField, timeField, within, writeAll } from "./fields.js";
import { RawObject } from "./json.js";
import { go, notice } from "./notice.js";
import { periods, rightsField } from "./rights.js";
import { rateText, stateBadge, userLink } from "./users.js";

async function surroundings(signal) {
  const [apis, policies] = await Promise.all([get("/api/apis", { signal }), get("/api/portal/policies?p=-1", { signal })]);
  return { apis: apis.apis, policies: policies.Data };
}

export async function newUserView({ main, signal }) {
  const around = await surroundings(signal);
  main.append(el("h1", {}, "New user"));
  main.append(
    editor({
      text: "{}",
      fields: (raw) => sessionFields(raw, around, true),
      submit: "Create",
      signal,
      async save(raw) {
        const answer = await create(raw);
        const { data } = JSON.parse(answer.text);
        go(userLink(data.org_id, data.basic_auth_data.user), ...saved("Created.", answer));
      },
    }),
  );
}

// create writes a user that must not exist yet. The name is in the body, because some names
// cannot be part of a path.
async function create(raw) {
  try {
    return await ask("POST", "/api/keys?basic_auth=true", { body: raw.toString(), headers: { "If-None-Match": "*" } });
  } catch (error) {
    if (error.status === 412) error.message = `username: ${error.message}`;
    throw error;
  }
}

// saved returns the notice about a write. A generated secret is shown only here.
function saved(what, answer) {
  const secret = JSON.parse(answer.text).data.hmac_string;
  return [
    answer.warnings ? "warn" : "good",
    el("strong", {}, what),
    answer.warnings ? " " + answer.warnings : "",
    secret ? el("span", {}, " Signing key, shown only once: ", el("code", { class: "secret" }, secret)) : "",
  ];
}

export async function userView({ main, params: [org, user], signal }) {
  const key = token(org, user);
  const [own, effective, around] = await Promise.all([
    ask("GET", `/api/keys/${key}?raw=1`, { signal }),
    ask("GET", `/api/keys/${key}`, { signal }),
    surroundings(signal),
  ]);
  const text = new RawObject(own.text).text("data");
  const shown = JSON.parse(effective.text);
  const live = el("section", { class: "live", "aria-label": "Live limits" });
  let following = follow();

  main.append(
    el("div", { class: "head" }, el("h1", {}, stored(user)), stateBadge(stateOf(shown.data, effective.warnings)), button("Delete", remove, "danger")),
    el("p", { class: "facts" }, "org ", el("code", {}, stored(org)), " · key id ", el("code", {}, stored(shown.key_id)), " · hash ", el("code", {}, shown.key_hash), written(shown.data), " · ", el("a", { href: `#/explain/${encodeURIComponent(org)}/${encodeURIComponent(user)}` }, "explain")),
    live,
  );
  if (shown.data.apply_policies?.length > 0) main.append(inForce(shown.data));
  let base = text;
  main.append(
    editor({
      text,
      fields: (raw) => sessionFields(raw, around, false),
      submit: "Save",
      keep: true,
      signal,
      async save(raw, keep) {
        const now = new RawObject((await ask("GET", `/api/keys/${key}?raw=1`)).text).text("data");
        if (now !== base) {
          base = now;
          throw new Refused(409, "This user has changed since you opened it. Reload to see the changes, or save again to overwrite them.");
        }
        const answer = await ask("PUT", `/api/keys/${key}${keep ? "?suppress_reset=1" : ""}`, { body: raw.toString() });
        go(location.hash, ...saved("Saved.", answer));
      },
    }),
  );

  // follow shows the live limits until the controller that it returns is aborted.
  function follow() {
    const until = new AbortController();
    live.replaceChildren(...liveCard(key, AbortSignal.any([signal, until.signal])));
    return until;
  }

  async function remove() {
    if (!(await confirmed("Delete", "Delete the user ", stored(user), "? The used quota is deleted as well."))) return;
    following.abort(); // a deleted user has no limits to ask for
    try {
      await ask("DELETE", `/api/keys/${key}`);
    } catch (error) {
      following = follow();
      notice("bad", error.message);
      return;
    }
    go("#/users", "good", "Deleted: ", stored(user));
  }
}

function stateOf(session, warnings) {
  if (warnings?.startsWith("inactive: ")) return warnings;
  if (session.is_inactive) return "inactive";
  return session.expires > 0 && session.expires <= Date.now() / 1000 ? "expired" : "active";
}

function written(session) {
  const at = Number(session.last_updated);
  return at > 0 ? ` · written ${date(at)}` : "";
}

// inForce shows the user's limits and rights with the policies applied.
function inForce(s) {
  const apis = Object.values(s.access_rights ?? {});
  const facts = [
    ["Rate", rateText(s) || "no limit"],
    ["Quota", s.quota_max > 0 ? `${count(s.quota_max)} ${s.quota_renewal_rate > 0 ? per(s.quota_renewal_rate) : "in total"}` : "no limit"],
    ["APIs", apis.length > 0 ? apis.map((right, i) => [i > 0 ? ", " : "", stored(right.api_name || right.api_id)]).flat() : "all"],
    ["Tags", (s.tags ?? []).map((tag) => [stored(tag, "label"), " "]).flat()],
  ];
  return el(
    "details",
    { class: "inforce" },
    el("summary", {}, "Effective limits and rights, with policies applied"),
    el("dl", {}, facts.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat()),
  );
}

// liveCard shows what is left of all limits and keeps it up to date.
function liveCard(key, signal) {
  const limits = el("div", { class: "limits" });
  const reset = button("Reset quota and rate", async () => {
    reset.disabled = true;
    try {
      await ask("POST", `/tyk/keys/reset/${key}`);
      await refresh();
      notice("good", "Quota and rate were reset.");
    } catch (error) {
      notice("bad", error.message);
    }
    reset.disabled = false;
    reset.focus();
  });

  async function refresh() {
    const answer = await get(`/api/users/${key}/limits`, { signal });
    const meters = answer.limits.flatMap(metersOf);
    limits.replaceChildren(...(meters.length > 0 ? meters : [el("p", { class: "hint" }, "No rate and no quota: requests are not limited.")]));
    reset.hidden = meters.length === 0;
  }
  async function follow() {
    try {
      if (!document.hidden) await refresh();
    } catch (error) {
      if (error.name === "AbortError" || error.status === 404) return; // the user was deleted elsewhere
      limits.replaceChildren(el("p", { class: "message bad" }, error.message));
    }
    if (!signal.aborted) setTimeout(follow, 2000);
  }
  follow();
  return [limits, reset];
}

function metersOf({ scope, rate, quota }) {
  const of = scopeText(scope);
  const meters = [];
  if (rate.limit > 0) {
    meters.push(meter(`Rate${of}`, rate.remaining, rate.limit, per(rate.per)));
  }
  if (quota.limit > 0) {
    const left = quota.renews - Date.now() / 1000;
    const renews = quota.renews > 0 ? `renews in ${inAWhile(left)}` : quota.period > 0 ? `period of ${span(quota.period)}, not started` : "never renews";
    meters.push(meter(`Quota${of}`, quota.remaining, quota.limit, renews));
  }
  return meters;
}

function scopeText(scope) {
  const [kind, ...rest] = scope.split(":");
  switch (kind) {
    case "":
      return "";
    case "endpoint":
      return ` of ${rest[1]} ${rest.slice(2).join(":")}`;
    case "api":
      return ` for API ${rest.join(":")}`;
  }
  return ` of ${kind} ${rest.join(":")}`;
}

function meter(label, left, limit, more) {
  const part = Math.max(0, Math.min(1, left / limit));
  const bar = el("div", { class: `bar ${part === 0 ? "none" : part < 0.1 ? "low" : ""}` });
  bar.style.width = `${part * 100}%`;
  return el(
    "div",
    { class: "meter" },
    el("span", { class: "name" }, stored(label)),
    el("span", { class: "left" }, `${count(left)} of ${count(limit)} left`),
    el("div", { class: "track", role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": limit, "aria-valuenow": left }, bar),
    el("span", { class: "hint" }, more),
  );
}

function sessionFields(raw, { apis, policies }, isNew) {
  const org = raw.get("org_id");
  const ofOrg = (list) => (org === undefined ? list : list.filter((one) => one.org_id === org));
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const login = [password(isNew), textField(raw, "alias", "Alias", { hint: "Sent to the service behind the proxy together with the user name." })];
  if (isNew) login.unshift(userName(), textField(raw, "org_id", "Org", { hint: "Empty: the default org." }));
  return [
    group("Login", login),
    group("State", [
      checkField(raw, "is_inactive", "Inactive: every request is refused"),
      timeField(raw, "expires", "Expires", { hint: `Empty: never. Time zone: ${zone}.` }),
    ]),
    group("Rate", [
      numberField(raw, "rate", "Requests", { hint: "0: no limit." }),
      numberField(raw, "per", "per this many seconds"),
    ]),
    group("Quota", [
      numberField(raw, "quota_max", "Requests", { hint: "-1: no limit." }),
      secondsField(raw, "quota_renewal_rate", "Renews", periods),
    ]),
    group("Policies", [
      policiesField(raw, ofOrg(policies)),
      listField(raw, "tags", "Tags", { hint: "Separated by commas. Tags of a policy replace them." }),
    ]),
    group("Signed requests", [
      checkField(raw, "hmac_enabled", "Requests must be signed (HMAC)", { hint: "When you save, the signing key is generated and shown once." }),
    ]),
    rightsField(raw, ofOrg(apis), "No rights: this user may use ALL APIs of the org. If you add one, all others are refused."),
    objectField(raw, "meta_data", "Metadata", { hint: "Values of the names in check.meta_headers are sent to the service behind the proxy." }),
    more(raw),
  ];
}

// policiesField edits apply_policies. It also deletes the older member apply_policy_id, which
// would restore the last policy after the user has removed it.
function policiesField(raw, policies) {
  const field = chosenField(raw, "apply_policies", "Policies", policies.map((p) => [p.id, p.name ? `${p.name} (${p.id})` : p.id]), {
    prompt: "add a policy …",
    hint: "Limits and rights of a policy replace the user's own.",
  });
  return {
    node: field.node,
    write(target) {
      const changed = field.write(target);
      if (changed) target.delete("apply_policy_id");
      return changed;
    },
  };
}

// more holds settings that few users need.
function more(raw) {
  const monitor = raw.object("monitor");
  const percents = listField(monitor, "trigger_limits", "Report at these percentages of the quota", { path: "monitor.trigger_limits", of: (text) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : text) });
  const fields = [
    numberField(raw, "throttle_interval", "If over the rate, try again every … seconds", { hint: "0: refuse at once." }),
    numberField(raw, "throttle_retry_limit", "at most … times"),
    within("monitor", [percents]),
    checkField(raw, "enable_detailed_recording", "Log this user's decisions in full"),
    numberField(raw, "session_lifetime", "Remove … seconds after the last write", { hint: "0: never." }),
    textField(raw, "post_expiry_action", "After the user has expired", { hint: "delete or retain. Empty: retain." }),
    numberField(raw, "post_expiry_grace_period", "Retain for … seconds", { hint: "-1: forever." }),
  ];
  return {
    node: el("details", { class: "group wide" }, el("summary", {}, "More"), el("div", { class: "fields" }, fields.map((field) => field.node))),
    write: (target) => writeAll(fields, target),
  };
}

// credential makes a field for a member of basic_auth_data, which is sent only if it is entered.
function credential(name, control, node) {
  const field = {
    node,
    write(target) {
      if (control.value === "") return false;
      target.set(name, control.value);
      return true;
    },
  };
  return within("basic_auth_data", [field]);
}

function userName() {
  const control = el("input", { type: "text", autocomplete: "off", spellcheck: "false", dir: "auto", required: true, autofocus: true });
  const node = labelled("User name", control, { path: "username", hint: "Must not contain a colon. It cannot be changed later." });
  node.dataset.also = "basic_auth_data.user";
  return credential("user", control, node);
}

function password(isNew) {
  const control = el("input", { type: "password", autocomplete: "new-password", spellcheck: "false" });
  const show = button("Show", () => reveal(control.type === "password"), "small");
  show.setAttribute("aria-pressed", "false");
  function reveal(yes) {
    control.type = yes ? "text" : "password";
    show.setAttribute("aria-pressed", String(yes));
  }
  const generate = button("Generate", () => {
    control.value = generated();
    reveal(true);
    control.select();
  }, "small");
  const hint = isNew ? "Stored as a hash, so it cannot be read later." : "Empty: unchanged.";
  const node = labelled("Password", control, { path: "basic_auth_data.password", after: el("span", { class: "quick" }, show, generate), hint });
  return credential("password", control, node);
}

// generated returns a password of 119 random bits, without characters that look alike.
function generated() {
  const letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_.~+=@";
  let text = "";
  while (text.length < 20) {
    const [byte] = crypto.getRandomValues(new Uint8Array(1));
    if (byte % 64 < letters.length) text += letters[byte % 64];
  }
  return text;
}
