// The boot timeline: a lane for each host, a bar for each stage, and one time axis for all.

import { clock, duration, element, say } from "./words.js";

const BREAK_SECONDS = 3600; // a pause this long separates two installations of the cluster, and only the last is drawn
const STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400]; // seconds
const CONNECTIONS = { "machine-config": "asks the machine config server", api: "reaches the API" };
const TICKS = 6; // at most; the labels of more would touch on a phone

const lanes = new Map(); // host → { lane, name, track, words, bars: stage → bar, marks: connection → mark }
const at = (id) => document.getElementById(id);

// `now` is the appliance's time, and `settled` the number of the stage from which on a host waits for nothing.
export function showWaterfall(hosts, now, settled) {
  const times = hosts.flatMap((host) => Object.values(host.reached)).sort((a, b) => a - b);
  at("waterfall").hidden = at("legend").hidden = !times.length;
  if (!times.length) { forgetLanes(new Set()); say(at("waterfall-about"), "No host has booted yet."); return; }

  const breaks = times.findLastIndex((time, index) => index > 0 && time - times[index - 1] > BREAK_SECONDS);
  const first = times[Math.max(breaks, 0)];
  const shown = hosts.filter((host) => Object.values(host.reached).some((time) => time >= first));
  const last = Math.max(times.at(-1), ...shown.map((host) => endOf(host, now, settled)));
  const step = STEPS.find((seconds) => (last - first) / seconds <= TICKS) ?? Math.ceil((last - first) / TICKS / 86400) * 86400;
  const ticks = Math.max(1, Math.ceil((last - first) / step));

  const left = hosts.filter((host) => Object.keys(host.reached).length).length - shown.length;
  say(at("waterfall-about"), `${duration(last - first)}, starting at ${clock(first)}${left ? `; ${left} ${left === 1 ? "host" : "hosts"} that booted before are not shown` : ""}`);
  showAxis(step, ticks);
  const place = (time) => (100 * Math.max(0, time - first)) / (step * ticks);
  forgetLanes(new Set(shown.map((host) => host.host)));
  shown.forEach((host, index) => showLane(host, index, place, endOf(host, now, settled)));
}

// A silent host may be switched off: its last bar ends when it was last seen, and does not grow.
function endOf(host, now, settled) {
  const latest = Math.max(...Object.values(host.reached));
  // The last bar of an installed host ends with its first connections. After a restart of the appliance, those that it
  // knows of are later ones.
  const connections = Object.values(host.connected).filter((time) => time - latest <= BREAK_SECONDS);
  if (host.step >= settled || !Number.isFinite(latest)) return Math.max(latest, 0, ...connections);
  return host.condition?.name === "silent" ? Math.max(latest, host.seen_at ?? 0) : Math.max(latest, now);
}

function showAxis(step, ticks) {
  const wanted = `${step} ${ticks}`;
  if (at("ticks").dataset.drawn === wanted) return;
  at("ticks").dataset.drawn = wanted;
  at("ticks").replaceChildren(...Array.from({ length: ticks + 1 }, (_, tick) => {
    const made = element("span", { text: tick ? duration(step * tick).replace(".0 ", " ") : "0" });
    made.style.left = `${(100 * tick) / ticks}%`;
    return made;
  }));
  at("lanes").style.setProperty("--tick", `${100 / ticks}%`);
}

function showLane(host, index, place, end) {
  let known = lanes.get(host.host);
  if (!known) {
    known = { lane: element("li"), name: element("span", { classes: "lane", "aria-hidden": "true" }), track: element("span", { classes: "track", "aria-hidden": "true" }), words: element("span", { classes: "unseen" }), bars: new Map(), marks: new Map() };
    known.lane.append(known.name, known.track, known.words);
    lanes.set(host.host, known);
  }
  if (at("lanes").children[index] !== known.lane) at("lanes").insertBefore(known.lane, at("lanes").children[index] ?? null);
  say(known.name, host.name);
  const reached = Object.entries(host.reached).sort((a, b) => a[1] - b[1]);
  const spans = reached.map(([stage, began], position) => ({ stage, began, ended: reached[position + 1]?.[1] ?? end }));
  for (const [stage, bar] of known.bars) if (!host.reached[stage]) { bar.remove(); known.bars.delete(stage); }
  for (const { stage, began, ended } of spans) {
    let bar = known.bars.get(stage);
    if (!bar) {
      bar = element("span", { classes: `bar stage-${stage}` });
      known.bars.set(stage, bar);
      known.track.append(bar);
    }
    bar.hidden = place(ended) <= 0;
    bar.style.left = `${place(began)}%`;
    bar.style.width = `${place(ended) - place(began)}%`;
    bar.title = `${stage}: ${duration(ended - began)}`;
  }
  const marks = showMarks(host, known, place);
  say(known.words, [`${host.name}: ${spans.map(({ stage, began, ended }) => `${stage} ${duration(ended - began)}`).join(", ")}`, ...marks].join("; "));
}

// A line at each first connection through the load balancer; returns the words for them.
function showMarks(host, known, place) {
  for (const [name, mark] of known.marks) if (!host.connected[name]) { mark.remove(); known.marks.delete(name); }
  return Object.entries(host.connected).map(([name, time]) => {
    let mark = known.marks.get(name);
    if (!mark) {
      mark = element("span", { classes: "mark" });
      known.marks.set(name, mark);
      known.track.append(mark);
    }
    mark.hidden = place(time) <= 0 || place(time) > 100;
    mark.style.left = `${place(time)}%`;
    return (mark.title = `${CONNECTIONS[name]} at ${clock(time)}`);
  });
}

function forgetLanes(names) {
  for (const [name, { lane }] of lanes) if (!names.has(name)) { lane.remove(); lanes.delete(name); }
}
