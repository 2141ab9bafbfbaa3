// A chart of the decisions of the last five minutes, by kind of reason. The server counts
// from its start, so the page shows the differences between its answers.

import { get, secret } from "./api.js";
import { count, el, svg, table } from "./dom.js";

const kinds = [
  ["pass", "passed", ["pass"]],
  ["who", "credentials", ["no_credentials", "malformed_credentials", "bad_credentials", "expired", "inactive"]],
  ["what", "rights and request", ["api_not_granted", "url_not_granted", "unknown_api", "unknown_version", "ambiguous_path", "ambiguous_request", "proxy_config"]],
  ["much", "limits", ["rate", "quota", "api_rate"]],
  ["load", "load and faults", ["busy", "too_many_failures", "unavailable"]],
];

const every = 2000; // ms between requests
const shownTime = 300_000; // ms

let samples = []; // {from, to, by: {reason: count}}
let totals = {};
let last = null;
const listeners = new Set();
let watching = false;

// watchDecisions asks for the counts in every view, until the user signs out.
export function watchDecisions() {
  if (watching) return;
  watching = true;
  follow();
}

async function follow() {
  if (!secret.get()) {
    watching = false;
    return;
  }
  if (!document.hidden) {
    try {
      take(await get("/api/decisions"));
    } catch {
      // The next request may succeed. The current view reports the error.
    }
  }
  setTimeout(follow, every);
}

function take(answer) {
  if (last !== null && answer.at > last.at) {
    const by = {};
    for (const [reason, total] of Object.entries(answer.decisions)) {
      const before = last.decisions[reason] ?? 0;
      by[reason] = total >= before ? total - before : total; // a lower count: the server was restarted
    }
    samples.push({ from: last.at, to: answer.at, by });
  }
  last = answer;
  totals = answer.decisions;
  samples = samples.filter((sample) => sample.to > answer.at - shownTime);
  for (const listener of listeners) listener();
}

function sum(by, reasons) {
  return reasons.reduce((total, reason) => total + (by[reason] ?? 0), 0);
}

// reasonsOf adds the reasons that this page does not know to "load and faults".
function reasonsOf(kind, reasons) {
  if (kind !== "load") return reasons;
  const known = new Set(kinds.flatMap(([, , names]) => names));
  return [...reasons, ...Object.keys(totals).filter((reason) => !known.has(reason))];
}

function perSecond(sample, reasons) {
  return sum(sample.by, reasons) / ((sample.to - sample.from) / 1000);
}

// chart draws the samples as stacked bars. The width of a bar is the time that it covers.
function chart(width, height, label) {
  const now = last?.at ?? Date.now();
  const x = (at) => ((at - (now - shownTime)) / shownTime) * width;
  const top = Math.max(1, ...samples.map((sample) => kinds.reduce((total, [kind, , reasons]) => total + perSecond(sample, reasonsOf(kind, reasons)), 0)));
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "chart", role: "img", "aria-label": label });
  for (const sample of samples) {
    const from = Math.max(0, x(sample.from));
    let y = height;
    for (const [kind, , reasons] of kinds) {
      const part = (perSecond(sample, reasonsOf(kind, reasons)) / top) * height;
      if (part <= 0) continue;
      y -= part;
      picture.append(svg("rect", { class: `kind-${kind}`, x: from.toFixed(2), y: y.toFixed(2), width: Math.max(0.5, x(sample.to) - from - 0.3).toFixed(2), height: part.toFixed(2) }));
    }
  }
  return { picture, top };
}

function sumOver(ms, reasons) {
  const since = (last?.at ?? 0) - ms;
  return samples.filter((sample) => sample.to > since).reduce((total, sample) => total + sum(sample.by, reasons), 0);
}

// pulse keeps a small chart in a link up to date.
export function pulse(link) {
  listeners.add(() => {
    const all = Object.keys(totals);
    const refused = all.filter((reason) => reason !== "pass");
    const text = `${count(sumOver(60_000, all))} decisions in the last minute, ${count(sumOver(60_000, refused))} refused`;
    link.replaceChildren(chart(120, 24, text).picture);
    link.setAttribute("aria-label", `Decisions: ${text}`);
    link.title = text;
  });
}

export async function decisionsView({ main, signal }) {
  const area = el("figure", { class: "decisions" });
  const numbers = el("div", {});
  const state = el("p", { class: "facts" });
  main.append(el("h1", {}, "Decisions"), state, area, numbers);

  function draw() {
    const { picture, top } = chart(600, 160, "Decisions of the last five minutes by kind of reason. The table below has the numbers.");
    area.replaceChildren(
      el("div", { class: "scale" }, `${count(Math.round(top * 10) / 10)} per second`),
      picture,
      el("div", { class: "axis" }, el("span", {}, "5 min ago"), el("span", {}, "now")),
      el("figcaption", {}, kinds.map(([kind, label]) => el("span", { class: "legend" }, el("span", { class: `swatch swatch-${kind}` }), label))),
    );
    const rows = kinds.flatMap(([kind, , reasons]) =>
      reasonsOf(kind, reasons)
        .filter((reason) => reason === "pass" || totals[reason] > 0)
        .map((reason) => [
          el("span", {}, el("span", { class: `swatch swatch-${kind}` }), el("code", {}, reason)),
          ...[60_000, shownTime].map((ms) => count(sumOver(ms, [reason]))),
          count(totals[reason] ?? 0),
        ]),
    );
    numbers.replaceChildren(table("Decisions by reason", ["Reason", "Last minute", "Last 5 minutes", "Since the server started"], rows));
  }

  listeners.add(draw);
  signal.addEventListener("abort", () => listeners.delete(draw));
  draw();

  const ready = await get("/readyz", { signal });
  state.replaceChildren(
    el("span", { class: "badge good" }, ready.status), " store ", el("code", {}, ready.store), " · configuration ", el("code", {}, ready.config),
    ` · ${count(ready.active_users)} active users`,
    ready.damaged?.length > 0 ? el("span", { class: "badge bad" }, `damaged: ${ready.damaged.join(", ")}`) : "",
  );
}
