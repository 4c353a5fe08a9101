// What is not a host: unknown machines, refusals, the Ignition files and their certificates.

import { age, clock, element, say } from "./words.js";

const EXPIRY_WARNING_SECONDS = 12 * 3600;

const strangers = new Map(); // MAC → its row and cells, which keep what is opened or selected in them
const at = (id) => document.getElementById(id);

export function showRest(rest, now) {
  const told = rest.notices.join("\n");
  if (at("notices").dataset.told !== told) {
    at("notices").dataset.told = told;
    at("notices").replaceChildren(...rest.notices.map((text) => element("li", { text })));
  }
  say(at("unknown-count"), rest.unknown);
  showStrangers(rest, now);
  fill("refusals", [...rest.refusals].reverse().map((one) => [clock(one.at), one.host || one.client, one.path, one.status, one.why]), "Nothing was refused.");
  fill("files", rest.certificates.map((one) => [one.path, one.version, one.expires_at === null ? "none" : `until ${clock(one.expires_at)}`, one.problem]), "There are none.");
  showClock(rest.certificates, now);
}

// The Ignition file whose certificates die first.
export function showClock(certificates, now) {
  const dying = certificates.filter((one) => one.expires_at !== null).sort((one, other) => one.expires_at - other.expires_at)[0];
  const seconds = dying ? dying.expires_at - now : Infinity;
  say(at("clock-name"), dying ? `life of ${dying.file}` : "certificates");
  say(at("clock"), !dying ? "none" : seconds > 0 ? `${age(seconds)} left` : `died ${age(-seconds)} ago`);
  at("clock").className = !dying ? "" : seconds <= 0 ? "bad" : seconds < EXPIRY_WARNING_SECONDS ? "warn" : "good";
}

function fill(table, rows, none) {
  const told = JSON.stringify(rows);
  const body = at(table).tBodies[0];
  if (body.dataset.told === told) return;
  body.dataset.told = told;
  if (rows.length) body.replaceChildren(...rows.map((cells) => element("tr", {}, ...cells.map((text) => element("td", { text })))));
  else showNone(table, none);
}

function showNone(table, text) {
  const columns = at(table).tHead.rows[0].cells.length;
  at(table).tBodies[0].replaceChildren(element("tr", {}, element("td", { text, classes: "faint", colspan: columns })));
}

function showStrangers(rest, now) {
  const macs = new Set(rest.strangers.map((one) => one.mac));
  for (const [mac, { row }] of strangers) if (!macs.has(mac)) { row.remove(); strangers.delete(mac); }
  if (!rest.strangers.length) { showNone("unknown", "None has asked."); return; }
  if (!strangers.size) at("unknown").tBodies[0].replaceChildren();
  const newestLast = [...rest.strangers].reverse();
  for (const one of newestLast) {
    let known = strangers.get(one.mac);
    if (!known) {
      const vendor = element("span", { classes: "faint", text: one.vendor || "no registered maker" });
      known = { asks: element("td"), through: element("td"), asked: element("td") };
      known.row = element("tr", {}, element("td", {}, element("code", { text: one.mac }), element("br"), vendor), known.asks, known.through, known.asked, element("td", {}, stanza(one)));
      strangers.set(one.mac, known);
      at("unknown").tBodies[0].prepend(known.row); // rows stay where they are, so that nothing moves under a finger
    }
    say(known.asks, [one.client, one.arch, one.vendor_class].filter(Boolean).join(", "));
    say(known.through, [one.interface, one.relay && `relay ${one.relay}`].filter(Boolean).join(", "));
    say(known.asked, `${one.times} ${one.times === 1 ? "time" : "times"}, last ${age(now - one.last_at)} ago`);
  }
}

function stanza(one) {
  const lines = element("pre", { text: one.stanza, tabindex: "0" });
  const made = element("details", {}, element("summary", { text: "its lines", "aria-label": `lines of cluster.yaml for ${one.mac}` }), lines);
  if (navigator.clipboard) { // only there on https and on this computer's own addresses
    const copy = element("button", { type: "button", text: "copy", classes: "copy" });
    copy.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(`${one.stanza}\n`); copy.textContent = "copied"; } catch { getSelection().selectAllChildren(lines); copy.textContent = "selected"; }
    });
    made.append(copy);
  }
  return made;
}
