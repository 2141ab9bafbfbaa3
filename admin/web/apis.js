// The APIs of the configuration in force.

import { get } from "./api.js";
import { el, stored, table } from "./dom.js";
import { rateText } from "./users.js";

export async function apisView({ main, signal }) {
  const { apis } = await get("/api/apis", { signal });
  main.append(
    el("h1", {}, "APIs"),
    el("p", { class: "hint" }, "APIs are defined in the configuration file. A request belongs to the API that matches its host and has the longest matching path, unless the proxy names an API."),
    table("APIs", ["API", "State", "Hosts", "Path", "Versions", "Rate for all users"], apis.map((api) => [
      el("span", {}, stored(api.name || api.id), el("small", {}, " ", stored(api.id), " in ", stored(api.org_id))),
      api.active ? el("span", { class: "badge good" }, "active") : el("span", { class: "badge bad" }, "inactive"),
      api.hosts.length > 0 ? stored(api.hosts.join(", ")) : "any",
      el("code", {}, stored(api.listen_path)),
      api.versions.length > 0 ? stored(api.versions.join(", ")) : "",
      rateText(api),
    ])),
  );
}
