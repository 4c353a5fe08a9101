// Who gets the load balancer's connections: each front end, and a tile for each of its members.

import { age, element, say } from "./words.js";

const SIGNS = { up: "●", down: "✕", drain: "◐", maint: "■", unknown: "○" }; // for readers who cannot tell the colours apart
const WORDS = { unknown: "not checked yet" };
const NAMED_MEMBERS = 8; // more are counted instead
const MANY_MEMBERS = 24; // more get small tiles, with words only for those that get no connections

const frontEnds = new Map(); // name → { section, binds, goes, list, members: host → { item, sign, state, counts, why } }
const at = (id) => document.getElementById(id);

export function showBalancer(balancer, now) {
  const rows = balancer?.rows ?? [];
  at("balancer").hidden = !rows.length;
  const found = new Map(); // name → its rows
  for (const row of rows) {
    if (!found.has(row.front_end)) found.set(row.front_end, []);
    found.get(row.front_end).push(row);
  }
  for (const [name, { section }] of frontEnds) if (!found.has(name)) { section.remove(); frontEnds.delete(name); }
  for (const [name, members] of found) showFrontEnd(name, members, now);
}

function showFrontEnd(name, rows, now) {
  let known = frontEnds.get(name);
  if (!known) {
    const [binds, goes, list] = [element("span", { classes: "faint" }), element("p"), element("ul", { classes: "members", "aria-label": `members of ${name}`, tabindex: "0" })];
    known = { binds, goes, list, members: new Map() };
    known.section = element("section", { classes: "front-end", "aria-label": name }, element("h3", { text: name }), binds, goes, list);
    frontEnds.set(name, known);
    at("front-ends").append(known.section);
  }
  say(known.binds, `listens on ${rows[0].binds.join(", ")}`);
  const [words, isWell] = whoGets(rows);
  say(known.goes, words);
  known.goes.className = isWell ? "" : "hint";
  known.list.classList.toggle("crowded", rows.length > MANY_MEMBERS);
  const hosts = new Set(rows.map((row) => row.host));
  for (const [host, { item }] of known.members) if (!hosts.has(host)) { item.remove(); known.members.delete(host); }
  for (const row of rows) showMember(known, row, now);
}

// A backup gets connections only while no other member works.
function whoGets(rows) {
  const up = rows.filter((row) => row.state === "up");
  const main = up.filter((row) => !row.is_backup);
  const getting = main.length ? main : up;
  if (getting.length > NAMED_MEMBERS) return [`Connections go to ${getting.length} of ${rows.length} members.`, true];
  if (getting.length) return [`Connections go to ${getting.map((row) => row.name).join(", ")}.`, true];
  if (rows.some((row) => row.state === "unknown")) return ["Nothing is known of the members yet.", true];
  return ["No member works, so connections fail.", false];
}

function showMember({ list, members }, row, now) {
  let known = members.get(row.host);
  if (!known) {
    const [sign, state] = [element("span", { classes: "sign", "aria-hidden": "true" }), element("span", { classes: "state" })];
    const [counts, why] = [element("span", { classes: "counts" }), element("span", { classes: "why" })];
    const top = element("span", { classes: "top" }, sign, element("span", { classes: "name", text: row.name }), state);
    known = { item: element("li", {}, top, counts, why), sign, state, counts, why };
    members.set(row.host, known);
    list.append(known.item);
  }
  known.item.className = `member member-${row.state}`;
  known.item.dataset.member = row.name;
  say(known.sign, SIGNS[row.state] ?? SIGNS.unknown);
  const lasts = row.since === null || row.state === "unknown" ? "" : ` ${age(now - row.since)}`;
  say(known.state, `${WORDS[row.state] ?? row.state}${lasts}${row.is_backup ? ", backup" : ""}`);
  say(known.counts, `${row.current} now, ${row.total} in all`);
  const ordered = row.wanted !== "ready" && row.wanted !== row.state ? `${row.wanted} is wanted` : "";
  say(known.why, [ordered, row.why, row.check].filter(Boolean).join("; "));
}
