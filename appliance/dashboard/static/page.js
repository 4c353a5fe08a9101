// The state of the appliance: all of it when the stream opens, then each host as it changes. The page is read-only.

import { showBalancer } from "./balancer.js";
import { showClock, showRest } from "./tables.js";
import { showWaterfall } from "./waterfall.js";
import { age, clock, duration, element, say, size } from "./words.js";

const STAGES = ["waiting", "firmware", "loader", "bootloader", "script", "kernel", "initramfs", "image", "ignition", "installed", "booted", "joining"];
const ROLES = ["bootstrap", "master", "arbiter", "worker", "infra", "other"];
const INSTALLED = STAGES.indexOf("installed");
const SEARCHED_HOSTS = 24; // more do not fit on a screen, and the filter appears
const MANY_HOSTS = 60; // more get small cards, without addresses
const SILENCE_SECONDS = 15; // the appliance sends something every 5, so this is a lost connection
const RETRY_SECONDS = 3;

const hosts = new Map(); // full name → its row
const cards = new Map(); // full name → { item, button, stage, progress, facts, hint }
let rest = { certificates: [] };
let balancer = null; // its rows, or null if the appliance drives none
let release = ""; // version of the appliance that this page came from
let skew = 0; // seconds that the appliance's clock is ahead of ours
let opened = ""; // full name of the host whose details are open
let isFilling = false; // its details are being fetched
let isDetailDue = false; // it has changed since they were
let isWaterfallDue = false;

const at = (id) => document.getElementById(id);
const now = () => Date.now() / 1000 + skew;

// Hosts

function group(cluster, role) {
  const id = `group-${cluster}-${role}`;
  const known = at(id);
  if (known) return known;
  const made = element("section", { id, "aria-labelledby": `${id}-title` }, element("h2", { id: `${id}-title` }), element("ul", { classes: "cards" }));
  made.dataset.order = `${cluster} ${ROLES.indexOf(role)}`;
  const after = [...at("hosts").children].find((other) => other.dataset.order > made.dataset.order);
  at("hosts").insertBefore(made, after ?? null);
  return made;
}

function card(host) {
  let known = cards.get(host.host);
  if (!known) {
    const [name, stage] = [element("span", { classes: "name", text: host.name }), element("span", { classes: "stage" })];
    const [progress, facts, hint] = [element("progress"), element("span", { classes: "facts" }), element("span", { classes: "hint" })];
    const button = element("button", { type: "button", "aria-haspopup": "dialog" }, element("span", { classes: "top" }, name, stage), progress, facts, hint);
    button.dataset.host = host.host;
    button.addEventListener("click", () => open(host.host));
    known = { item: element("li", {}, button), button, stage, progress, facts, hint };
    cards.set(host.host, known);
  }
  return known;
}

function showHost(host) {
  const { item, button, stage, progress, facts, hint } = card(host);
  const under = host.progress;
  button.className = `card stage-${host.stage}${host.condition ? " troubled" : ""}`;
  button.dataset.stage = host.stage;
  say(stage, label(host));
  progress.hidden = !host.stage;
  progress.max = (under ? under.total : STAGES.length - 1) || 1;
  progress.value = under ? under.sent : host.step;
  progress.setAttribute("aria-label", under ? `${under.what} of ${host.name}` : `stage of ${host.name}`);
  say(facts, under ? `${under.what}: ${size(under.sent)} of ${size(under.total)}` : host.awaits ? `waits for ${host.awaits}` : [host.address, host.mac, host.arch].filter(Boolean).join(" · "));
  say(hint, host.condition?.name ?? "");
  item.hidden = !isFound(host);
  const list = group(host.cluster, host.role).lastElementChild;
  if (item.parentElement !== list) list.append(item); // a new host, or one that a reload gave another role
}

function label(host) {
  const held = host.order === "hold" && host.step < INSTALLED ? "held, " : "";
  return `${held}${host.stage}${host.since ? ` ${age(now() - host.since)}` : ""}`;
}

function isFound(host) {
  const wanted = at("filter").value.trim().toLowerCase();
  const text = [host.host, host.role, host.stage, ...host.addresses, host.mac, host.arch, host.condition?.name].join(" ").toLowerCase();
  return wanted.split(/\s+/).every((word) => text.includes(word));
}

function forget(names) {
  for (const name of [...hosts.keys()].filter((known) => !names.has(known))) {
    hosts.delete(name);
    cards.get(name).item.remove();
    cards.delete(name);
  }
}

function showSummary() {
  const all = [...hosts.values()].filter((host) => host.stage);
  const installed = all.filter((host) => host.step >= INSTALLED).length;
  const troubled = all.filter((host) => host.condition);
  say(at("installed"), `${installed} of ${all.length}`);
  at("installed").className = all.length && installed === all.length ? "good" : "";
  say(at("underway"), all.filter((host) => host.step > 0 && host.step < INSTALLED).length);
  say(at("trouble"), troubled.length);
  at("trouble").className = troubled.length ? "bad" : "";
  document.body.classList.toggle("many", all.length > MANY_HOSTS);
  at("search").hidden = all.length <= SEARCHED_HOSTS;
  showTroubled(troubled);
  const severalClusters = new Set(all.map((host) => host.cluster)).size > 1;
  for (const section of at("hosts").children) {
    const members = [...section.querySelectorAll("button")].map((button) => hosts.get(button.dataset.host));
    const role = severalClusters ? `${members[0].cluster}: ${members[0].role}` : members[0].role;
    const nodes = members.filter((host) => host.stage); // without those that are never installed
    say(section.firstElementChild, nodes.length ? `${role}, ${nodes.filter((host) => host.step >= INSTALLED).length} of ${nodes.length} installed` : `${role}, ${members.length}`);
    section.hidden = !members.some(isFound);
  }
}

function showTroubled(troubled) {
  const wanted = JSON.stringify(troubled.map((host) => [host.host, host.condition]));
  if (at("troubled").dataset.shown === wanted) return;
  at("troubled").dataset.shown = wanted;
  at("attention").hidden = !troubled.length;
  at("troubled").replaceChildren(...troubled.map((host) => {
    const button = element("button", { type: "button", classes: "link", text: host.name });
    button.addEventListener("click", () => open(host.host));
    return element("li", {}, button, element("span", { text: ` ${host.condition.name} since ${clock(host.condition.since)}: ${host.condition.hint}` }));
  }));
}

// One host

async function open(name) {
  opened = name;
  const explanation = await detailOf(name);
  if (!explanation || opened !== name) return;
  showDetail(explanation);
  if (!at("detail").open) at("detail").showModal();
}

// Fetches the open details again, one fetch at a time. What changes meanwhile is fetched with the next tick.
async function refreshDetail() {
  if (isFilling || !at("detail").open) return;
  [isFilling, isDetailDue] = [true, false];
  const name = opened;
  const explanation = await detailOf(name);
  isFilling = false;
  if (explanation && opened === name) showDetail(explanation);
}

async function detailOf(name) {
  try {
    const answer = await fetch(`/hosts/${encodeURIComponent(name)}`);
    return answer.ok ? await answer.json() : null;
  } catch { return null; } // the connection is lost, which the page's header shows
}

function showDetail(explanation) {
  const { host, steps, records } = explanation;
  say(at("detail-title"), `${host.host}: ${host.stage || host.role}`);
  say(at("detail-facts"), [host.role, ...host.addresses, host.mac, host.arch, `install: ${host.install}`, host.tries ? `${host.tries} failed ${host.tries === 1 ? "try" : "tries"} before` : ""].filter(Boolean).join(" · "));
  say(at("detail-hint"), host.condition ? `${host.condition.name}: ${host.condition.hint}` : "");
  say(at("detail-missing"), `Next: ${explanation.missing}`);
  at("detail-steps").replaceChildren(...steps.map((step) => element("li", {},
    element("span", { classes: "number", text: clock(step.at) }),
    element("span", { text: step.times > 1 ? `${step.asked} (${step.times} times)` : step.asked }),
    element("span", { text: step.told }),
    element("span", { classes: "number faint", text: duration(step.seconds) }))));
  const earlier = records.filter((record) => record.number !== host.number && record.began_at);
  at("detail-earlier").replaceChildren(...(earlier.length ? [element("h3", { text: "Earlier installations" }), element("ul", {}, ...earlier.map((record) => element("li", { text: `No. ${record.number}: started ${clock(record.began_at)}, reached ${record.stage} in ${duration(record.ended_at - record.began_at)}` })))] : []));
}

at("detail").addEventListener("close", () => { cards.get(opened)?.button.focus(); opened = ""; });
at("filter").addEventListener("input", () => { for (const host of hosts.values()) cards.get(host.host).item.hidden = !isFound(host); showSummary(); });
at("legend").append(...STAGES.slice(1).map((stage) => element("li", { text: stage, classes: `stage-${stage}` })));

// The stream: its first message is always the whole state

let stream;
let heardAt = 0;

function connect() {
  stream?.close();
  heardAt = Date.now();
  stream = new EventSource("/stream");
  const hear = (event, take) => stream.addEventListener(event, (message) => { heardAt = Date.now(); take(JSON.parse(message.data)); });
  hear("status", takeAll);
  hear("hosts", takeHosts);
  hear("rest", takeRest);
  hear("balancer", takeBalancer);
  hear("rate", (bytes) => say(at("rate"), `${size(bytes)}/s`));
  stream.addEventListener("error", showLost);
}

function showLost() {
  if (!document.body.classList.contains("lost")) say(at("link"), `no answer from the appliance since ${clock(now())}; retrying`);
  document.body.classList.add("lost");
  // The browser retries by itself, but not after an HTTP error, which closes an EventSource for good.
  if (stream.readyState === EventSource.CLOSED) { stream.close(); setTimeout(connect, RETRY_SECONDS * 1000); }
}

function takeAll(status) {
  if (release && release !== status.appliance) { location.reload(); return; } // this page is of another release
  release = status.appliance;
  say(at("link"), "live");
  document.body.classList.remove("lost");
  say(at("title"), status.clusters.map((cluster) => cluster.domain).join(", "));
  say(at("subtitle"), `${status.clusters.map((cluster) => `OpenShift ${cluster.release}`).join(", ")} · ocp-appliance ${status.appliance}`);
  document.title = `${status.clusters.map((cluster) => cluster.name).join(", ")} · ocp-appliance`;
  forget(new Set(status.hosts.map((host) => host.host)));
  takeRest(status);
  takeBalancer(status.balancer);
  takeHosts(status.hosts);
  showWaterfall([...hosts.values()], now(), INSTALLED);
}

function takeHosts(rows) {
  for (const host of rows) { hosts.set(host.host, host); showHost(host); }
  for (const section of [...at("hosts").children]) if (!section.querySelector("li")) section.remove();
  showSummary();
  isWaterfallDue = true;
  isDetailDue ||= rows.some((host) => host.host === opened);
}

function takeRest(latest) {
  rest = latest;
  skew = latest.at - Date.now() / 1000;
  showRest(rest, now());
}

function takeBalancer(latest) {
  balancer = latest;
  showBalancer(balancer, now());
}

// Ages grow without a message.
setInterval(() => {
  if (!document.body.classList.contains("lost") && Date.now() - heardAt > SILENCE_SECONDS * 1000) { showLost(); connect(); }
  const all = [...hosts.values()];
  for (const host of all) say(cards.get(host.host).stage, label(host));
  showClock(rest.certificates, now());
  showBalancer(balancer, now());
  if (isWaterfallDue || all.some((host) => host.step > 0 && host.step < INSTALLED)) showWaterfall(all, now(), INSTALLED);
  isWaterfallDue = false;
  if (isDetailDue) refreshDetail();
}, 1000);

connect();
