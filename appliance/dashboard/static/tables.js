// Everything on the page that is not a host: unknown machines, refused requests, Ignition files and their certificates.

import { age, clock, element, say } from "./words.js";

const EXPIRY_WARNING_SECONDS = 12 * 3600; // as WARNING_SECONDS in openshift/ignition.py, which explains it

const strangers = new Map(); // MAC → its row and cells, which are kept so that opened details and selected text stay
const at = (id) => document.getElementById(id);

export function showRest(rest, now) {
  const wanted = rest.notices.join("\n");
  if (at("notices").dataset.shown !== wanted) {
    at("notices").dataset.shown = wanted;
    at("notices").replaceChildren(...rest.notices.map((text) => element("li", { text })));
  }
  say(at("unknown-count"), rest.unknown);
  showStrangers(rest, now);
  fill("refusals", [...rest.refusals].reverse().map((refusal) => [clock(refusal.at), refusal.host || refusal.client, refusal.path, refusal.status, refusal.why]), "No requests were refused.");
  fill("files", rest.certificates.map((file) => [file.path, file.version, file.expires_at === null ? "no certificates" : clock(file.expires_at), file.problem]), "No Ignition files.");
  showClock(rest.certificates, now);
}

// The time left until the first Ignition file expires.
export function showClock(certificates, now) {
  const first = certificates.filter((file) => file.expires_at !== null).sort((a, b) => a.expires_at - b.expires_at)[0];
  const seconds = first ? first.expires_at - now : Infinity;
  say(at("clock-name"), !first ? "Certificates" : seconds > 0 ? `${first.file} expires in` : `${first.file} expired`);
  say(at("clock"), !first ? "none" : seconds > 0 ? age(seconds) : `${age(-seconds)} ago`);
  at("clock").className = !first ? "" : seconds <= 0 ? "bad" : seconds < EXPIRY_WARNING_SECONDS ? "warn" : "good";
}

function fill(table, rows, none) {
  const wanted = JSON.stringify(rows);
  const body = at(table).tBodies[0];
  if (body.dataset.shown === wanted) return;
  body.dataset.shown = wanted;
  if (rows.length) body.replaceChildren(...rows.map((cells) => element("tr", {}, ...cells.map((text) => element("td", { text })))));
  else showNone(table, none);
}

function showNone(table, text) {
  const columns = at(table).tHead.rows[0].cells.length;
  at(table).tBodies[0].replaceChildren(element("tr", {}, element("td", { text, classes: "faint", colspan: columns })));
}

function showStrangers(rest, now) {
  const macs = new Set(rest.strangers.map((machine) => machine.mac));
  for (const [mac, { row }] of strangers) if (!macs.has(mac)) { row.remove(); strangers.delete(mac); }
  if (!rest.strangers.length) { showNone("unknown", "No unknown machines."); return; }
  if (!strangers.size) at("unknown").tBodies[0].replaceChildren();
  const newestLast = [...rest.strangers].reverse();
  for (const machine of newestLast) {
    let known = strangers.get(machine.mac);
    if (!known) {
      const vendor = element("span", { classes: "faint", text: machine.vendor || "unknown vendor" });
      known = { client: element("td"), via: element("td"), seen: element("td", { classes: "number" }) };
      known.row = element("tr", {}, element("td", {}, element("code", { text: machine.mac }), element("br"), vendor), known.client, known.via, known.seen, element("td", {}, stanza(machine)));
      strangers.set(machine.mac, known);
      at("unknown").tBodies[0].prepend(known.row); // rows keep their order, so that nothing moves under the pointer
    }
    say(known.client, [machine.program, machine.arch, machine.vendor_class].filter(Boolean).join(", "));
    say(known.via, [machine.interface, machine.relay && `relay ${machine.relay}`].filter(Boolean).join(", "));
    say(known.seen, `${machine.times} ${machine.times === 1 ? "time" : "times"}, last ${age(now - machine.last_at)} ago`);
  }
}

function stanza(machine) {
  const lines = element("pre", { text: machine.stanza, tabindex: "0" });
  const made = element("details", {}, element("summary", { text: "show", "aria-label": `entry for cluster.yaml of ${machine.mac}` }), lines);
  if (navigator.clipboard) { // browsers offer it only over https and on localhost
    const copy = element("button", { type: "button", text: "copy", classes: "copy" });
    copy.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(`${machine.stanza}\n`); copy.textContent = "copied"; } catch { getSelection().selectAllChildren(lines); copy.textContent = "selected"; }
    });
    made.append(copy);
  }
  return made;
}
