// Elements, and how sizes and times are written.

export function element(tag, { text, classes, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = printable(text);
  if (classes) made.className = classes;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Writes only a text that differs: one that stays keeps the reader's selection, and costs no layout.
export function say(place, text) {
  const wanted = printable(text);
  if (place.textContent !== wanted) place.textContent = wanted;
}

// With a replacement for each control character, as printable in spelling.py: names and paths come from the network, and
// some characters change the direction of writing. Line ends stay, for entries of cluster.yaml.
export function printable(text) {
  return String(text).replace(/[^\P{C}\n]|[\p{Zl}\p{Zp}]/gu, "\ufffd");
}

// size, duration and age are twins of appliance/status/spelling.py: the command line and this page write alike.

export function size(bytes) {
  let [value, unit] = [bytes, "B"];
  for (const larger of ["kB", "MB", "GB"]) {
    if (value < 999.5) break; // 999.5 would round to 1000, which belongs to the next unit
    [value, unit] = [value / 1000, larger];
  }
  return unit !== "B" && value < 99.95 ? `${rounded(value, 10).toFixed(1)} ${unit}` : `${rounded(value)} ${unit}`;
}

export function duration(seconds) {
  seconds = Math.max(0, seconds);
  if (seconds < 0.9995) return `${rounded(seconds * 1000)} ms`;
  return seconds < 9.95 ? `${rounded(seconds, 10).toFixed(1)} s` : age(Math.max(seconds, 10));
}

// In whole units, rounded down: for what grows while the reader watches.
export function age(seconds) {
  seconds = Math.max(0, seconds);
  for (const [length, unit] of [[86400, "days"], [3600, "h"], [60, "min"]]) {
    if (seconds >= 2 * length) return `${Math.floor(seconds / length)} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

// To a multiple of 1 / parts, halves up.
function rounded(value, parts = 1) {
  return Math.floor(value * parts + 0.5) / parts;
}

export function clock(seconds) {
  const date = new Date(seconds * 1000);
  const time = date.toLocaleTimeString([], { hour12: false });
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString()} ${time}`;
}
