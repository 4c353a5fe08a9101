"use strict";
// The picture of the appliance: told whole when the stream opens, then host by host. Nothing here changes anything there.

const STAGES = ["waiting", "firmware", "loader", "ipxe", "script", "kernel", "initramfs", "image", "ignition", "installed", "booted", "joining"];
const ROLES = ["bootstrap", "master", "worker", "infra"];
const INSTALLED = STAGES.indexOf("installed");
const EXPIRY_WARNING_SECONDS = 12 * 3600;

const hosts = new Map(); // full name → its row
const cards = new Map(); // full name → its button
let rest = { unknown: [], refusals: [], certificates: [], notices: [] };
let skew = 0; // the appliance's clock less ours, seconds
let opened = ""; // the host whose detail is open

const at = (id) => document.getElementById(id);
const now = () => Date.now() / 1000 + skew;

function element(tag, { text, classes, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (classes) made.className = classes;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function shape(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function size(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) { bytes /= 1000; unit += 1; }
  return `${unit && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });

// Hosts

function section(cluster, role) {
  const id = `group-${cluster}-${role}`;
  const known = at(id);
  if (known) return known.lastElementChild;
  const title = new Set([...hosts.values()].map((host) => host.cluster)).size > 1 ? `${cluster}: ${role}` : role;
  const list = element("ul", { classes: "cards" });
  const made = element("section", { id, "aria-label": title }, element("h2", { text: title }), list);
  made.dataset.order = `${cluster} ${ROLES.indexOf(role)}`;
  const after = [...at("hosts").children].find((other) => other.dataset.order > made.dataset.order);
  at("hosts").insertBefore(made, after ?? null);
  return list;
}

function card(host) {
  let button = cards.get(host.host);
  if (!button) {
    button = element("button", { type: "button", classes: "card" });
    button.addEventListener("click", () => open(host.host));
    cards.set(host.host, button);
    section(host.cluster, host.role).append(element("li", {}, button));
  }
  return button;
}

function showHost(host) {
  const button = card(host);
  const under = host.progress;
  const total = under?.total ?? STAGES.length - 1;
  const facts = under
    ? `${under.what} ${size(under.sent)} of ${size(under.total)}`
    : [host.address, host.mac, host.arch].filter(Boolean).join(" · ");
  button.className = `card stage-${host.stage}`;
  button.dataset.stage = host.stage;
  button.dataset.host = host.host;
  button.replaceChildren(
    element("span", { classes: "top" }, element("span", { classes: "name", text: host.name }), element("span", { classes: "stage", text: label(host) })),
    element("progress", { max: total || 1, value: under ? under.sent : host.step, "aria-label": under ? `${under.what} of ${host.name}` : `stage of ${host.name}` }),
    element("span", { classes: "facts", text: facts }),
  );
  if (host.condition) button.append(element("span", { classes: "hint", text: `${host.condition.name}: ${host.condition.hint}` }));
}

function label(host) {
  const held = host.order === "hold" && host.step < INSTALLED ? "held, " : "";
  return `${held}${host.stage}${host.since ? ` ${duration(Math.max(0, now() - host.since))}` : ""}`;
}

function forget(names) {
  for (const name of [...hosts.keys()].filter((known) => !names.has(known))) {
    hosts.delete(name);
    cards.get(name)?.parentElement.remove();
    cards.delete(name);
  }
  for (const group of [...at("hosts").children]) if (!group.querySelector("li")) group.remove();
}

function showSummary() {
  const all = [...hosts.values()];
  const troubled = all.filter((host) => host.condition).length;
  at("installed").textContent = `${all.filter((host) => host.step >= INSTALLED).length} of ${all.length}`;
  at("underway").textContent = all.filter((host) => host.step > 0 && host.step < INSTALLED).length;
  at("trouble").textContent = troubled;
  at("trouble").className = troubled ? "bad" : "";
}

// Who waited for what: a row a host, a bar a stage, one axis of time

function showWaterfall() {
  const rows = [...hosts.values()].filter((host) => Object.keys(host.reached).length);
  if (!rows.length) { at("waterfall").replaceChildren(element("p", { text: "No machine has asked for anything yet." })); return; }
  const first = Math.min(...rows.map((host) => Math.min(...Object.values(host.reached))));
  const isDone = rows.every((host) => host.step >= INSTALLED);
  const last = Math.max(...rows.map((host) => Math.max(...Object.values(host.reached))), isDone ? 0 : now());
  const span = Math.max(last - first, 1);
  const [left, width, line] = [110, 1000, 24];
  const x = (time) => left + ((time - first) / span) * (width - left - 12);
  const drawing = shape("svg", { viewBox: `0 0 ${width} ${rows.length * line + 34}`, role: "img", "aria-label": `The stages of ${rows.length} hosts over ${duration(span)}` });
  for (let tick = 0; tick <= 5; tick += 1) {
    const time = first + (span * tick) / 5;
    drawing.append(shape("line", { x1: x(time), x2: x(time), y1: 8, y2: rows.length * line + 12 }));
    drawing.append(shape("text", { x: x(time), y: rows.length * line + 27, class: "tick", "text-anchor": tick === 5 ? "end" : "middle" }, duration(time - first)));
  }
  rows.forEach((host, index) => {
    const y = 10 + index * line;
    drawing.append(shape("text", { x: left - 8, y: y + 15, "text-anchor": "end" }, host.name.slice(0, 15)));
    const reached = Object.entries(host.reached).sort((one, other) => one[1] - other[1]);
    reached.forEach(([stage, began], position) => {
      const ended = reached[position + 1]?.[1] ?? Math.max(began, host.step >= INSTALLED ? began : last);
      const bar = shape("rect", { x: x(began), y: y + 3, width: Math.max(x(ended) - x(began), 3), height: line - 8, rx: 2, class: `bar stage-${stage}` });
      bar.append(shape("title", {}, `${host.name}: ${stage} at ${clock(began)}, ${duration(ended - began)}`));
      drawing.append(bar);
    });
  });
  at("waterfall").replaceChildren(drawing);
}

// The rest

function fill(table, rows, none) {
  const body = at(table).tBodies[0];
  const columns = at(table).tHead.rows[0].cells.length;
  body.replaceChildren(...(rows.length ? rows.map((cells) => element("tr", {}, ...cells.map((text) => element("td", { text })))) : [element("tr", {}, element("td", { text: none, classes: "none", colspan: columns }))]));
}

function showRest() {
  at("notices").replaceChildren(...rest.notices.map((text) => element("li", { text })));
  at("unknown-count").textContent = rest.unknown.length;
  fill("unknown", rest.unknown.map((one) => [one.mac, one.client, one.arch, one.relay, one.times, clock(one.last_at)]), "None has asked.");
  fill("refusals", [...rest.refusals].reverse().map((one) => [clock(one.at), one.host || one.client, one.path, one.status, one.why]), "Nothing was refused.");
  fill("files", rest.certificates.map((one) => [one.path, one.version, left(one), one.problem]), "There are none.");
  showClock();
}

function left(certificate) {
  if (certificate.expires_at === null) return "";
  const seconds = certificate.expires_at - now();
  return seconds > 0 ? `die in ${duration(seconds)}` : `died ${duration(-seconds)} ago`;
}

function showClock() {
  const dying = rest.certificates.filter((one) => one.expires_at !== null).sort((one, other) => one.expires_at - other.expires_at)[0];
  const place = at("clock");
  at("certificate").firstElementChild.textContent = dying?.file ?? "certificates";
  place.textContent = dying ? left(dying) : "none that die";
  const seconds = dying ? dying.expires_at - now() : Infinity;
  place.className = seconds <= 0 ? "bad" : seconds < EXPIRY_WARNING_SECONDS ? "warn" : "good";
}

// One host

async function open(name) {
  opened = name;
  await fillDetail();
  if (!at("detail").open) at("detail").showModal();
}

async function fillDetail() {
  const answer = await fetch(`/hosts/${encodeURIComponent(opened)}`);
  if (!answer.ok) return;
  const told = await answer.json();
  at("detail-title").textContent = `${told.host.host} · ${told.host.role} · ${told.host.stage}`;
  at("detail-missing").textContent = `Next: ${told.missing}`;
  at("detail-steps").replaceChildren(...told.steps.map((step) => element("tr", {},
    element("td", { classes: "number", text: clock(step.at) }), element("td", { classes: "number", text: duration(step.seconds) }),
    element("td", { text: step.times > 1 ? `${step.asked} (${step.times} times)` : step.asked }), element("td", { text: step.told }))));
}

at("detail").addEventListener("close", () => { cards.get(opened)?.focus(); opened = ""; });
at("legend").append(...STAGES.slice(1).map((stage) => element("li", { text: stage, classes: `stage-${stage}` })));

// The stream: the browser connects again by itself, and the first message is always the whole picture

const stream = new EventSource("/stream");
stream.addEventListener("open", () => { at("link").textContent = "live"; at("link").className = "live"; });
stream.addEventListener("error", () => { at("link").textContent = "the appliance does not answer; trying again"; at("link").className = "lost"; });
stream.addEventListener("status", (message) => {
  const told = JSON.parse(message.data);
  skew = told.at - Date.now() / 1000;
  at("title").textContent = told.clusters.map((cluster) => cluster.domain).join(", ");
  at("subtitle").textContent = `${told.clusters.map((cluster) => `OpenShift ${cluster.release}`).join(", ")} · ocp-appliance ${told.appliance}`;
  document.title = `${told.clusters.map((cluster) => cluster.name).join(", ")} · ocp-appliance`;
  forget(new Set(told.hosts.map((host) => host.host)));
  for (const host of told.hosts) { hosts.set(host.host, host); showHost(host); }
  rest = { ...told, unknown: told.strangers };
  showRate(told.bytes_a_second);
  showSummary();
  showWaterfall();
  showRest();
});
stream.addEventListener("hosts", (message) => {
  for (const host of JSON.parse(message.data)) {
    hosts.set(host.host, host);
    showHost(host);
    if (host.host === opened) fillDetail();
  }
  showSummary();
  showWaterfall();
});
stream.addEventListener("rest", (message) => {
  rest = JSON.parse(message.data);
  skew = rest.at - Date.now() / 1000;
  forget(new Set(rest.hosts));
  showSummary();
  showRest();
});
stream.addEventListener("rate", (message) => showRate(JSON.parse(message.data)));

function showRate(bytes) { at("rate").textContent = `${size(bytes)}/s`; }

// Ages grow by themselves.
setInterval(() => {
  for (const [name, host] of hosts) {
    const place = cards.get(name)?.querySelector(".stage");
    if (place) place.textContent = label(host);
  }
  showClock();
}, 1000);
