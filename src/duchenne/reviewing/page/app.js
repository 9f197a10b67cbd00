// Puts the page together: what is chosen, what is shown, and which key does what.

import {$, ask, au, element, note, numbers, onto, query} from "./api.js";
import {Player, portraits} from "./player.js";
import {Curves, clock} from "./curves.js";
import {Coding} from "./coding.js";
import {Panel} from "./panel.js";
import {Compare} from "./compare.js";
import {Teach} from "./teach.js";
import {names} from "./names.js";
import {keyboard} from "./keys.js";

const UNREAD = {small: "was too small to be read (detect --min-face)", no_landmarks: "had no landmarks", no_baseline: "showed no resting face"};
const SHORT = {every: value => value !== 1 && `every ${value}. frame`, start_s: value => value > 0 && `from ${value} s`, end_s: value => value !== null && `to ${value} s`, smooth_s: value => value > 0 && `smoothed over ${value} s`, baseline: value => value !== null && `resting face of ${value} subtracted`};

const narrow = matchMedia("(max-width: 46rem)");
const player = new Player($("video"), $("overlay"), $("picture"), $("window"));
const curves = new Curves(player, $("plot"), $("curves"), $("cursor"), $("rows"));
const coding = new Coding();
const app = {state: null, key: null, info: null, face: null, asked: null, row: null, player, curves, coding, open, renew, canCode, say};
const panel = new Panel(app), compare = new Compare(app), teach = new Teach(app);
globalThis.review = app;  // for whoever looks at the page with developer tools, and for tests

const stored = name => { try { return localStorage.getItem(name); } catch { return null; } };
const remember = (name, value) => { try { localStorage.setItem(name, value); } catch { /* private windows forget */ } };

// Not before the frames of another recording are known.
function canCode() { return !narrow.matches && player.times.length > 0; }

async function start() {
  app.state = await ask("state");
  const {coders} = app.state;
  $("coder").value = stored("coder") ?? (coders.length === 1 ? coders[0] : "");  // kept for an address, whose port is new each time
  $("model").append(...app.state.models.map(name => element("option", {value: name}, name)));
  $("export").append(...Object.entries(app.state.exports).map(([form, what]) => element("option", {value: form}, what)));
  $("help-keys").append(...keys.help());
  lists();
  await teach.refresh();  // its thresholds are drawn with the curves
  const first = app.state.recordings[0];
  if (first) await open(first.key);
  if (coders.length > 1 && !$("coder").value) say("several people have coded here: write your name", true);
}

function lists() {
  $("recording").replaceChildren(...app.state.recordings.map(one => element("option", {value: one.key, selected: one.key === app.key}, one.source + (one.coded.length ? " ✓" : ""))));
  $("coders").replaceChildren(...app.state.coders.filter(Boolean).map(name => element("option", {value: name})));
}

async function reload() {
  app.state = await ask("state");
  lists();
}

// What a job has made is shown; codes, what is open among them, and what can be undone stay.
async function renew() {
  try {
    await reload();
    const {key, info: before, face} = app, {view} = curves, {time} = player;
    if (coding.key !== key) { await turn(key, face); return; }  // it is not shown yet, so its codes are not there either
    const info = await ask("recordings/" + key);
    if (key !== app.key) return;
    app.info = info;
    const other = info.stamp !== before?.stamp;
    if (other) { note($("trouble"), ""); note($("hint"), ""); $("copy").hidden = true; player.open(address(), info); }
    await table(face);
    if (other) seekTo(time);
    curves.look(...view);
    compare.offer();
  } catch (error) { tell(error); }
}

const tell = error => note($("trouble"), error.message);

// Shows a recording, at a time and with a face where they are given.
async function open(key, time, face) {
  if (app.key !== key || coding.key === null) {
    try { await coding.leave(); }
    catch (error) { $("recording").value = app.key ?? key; say(error.message, true); return; }
    await turn(key, face);
  } else if (face !== undefined && face !== app.asked) {
    await choose(face).catch(tell);
    if (face !== app.asked) return;  // another was chosen in the meantime
  }
  if (time !== undefined && app.key === key) seekTo(time);
}

// Where it cannot be shown, the one before stays: codes are stored into what is seen.
async function turn(key, face) {
  app.key = $("recording").value = key;
  try { await show(key, face); }
  catch (error) {
    if (app.key === key) app.key = $("recording").value = coding.key ?? key;
    tell(error);
  }
}

async function show(key, face) {
  note($("trouble"), ""); note($("hint"), ""); $("copy").hidden = true;
  const info = await ask("recordings/" + key);
  await coding.load(key, $("coder").value.trim());  // first: a key that is pressed in the meantime belongs to the old one
  $("coder").disabled = false;  // not before: a name that was written while the page is put together would be lost
  if (key !== app.key || key !== coding.key) return;  // another was chosen in the meantime
  app.info = info;
  player.open(address(), app.info);
  await table(face);
  compare.offer();
}

// Browsers keep what an address once gave; the time of the file's last change makes a new one of a new file.
const address = () => `api/recordings/${app.key}/video?${query({changed: app.info.stamp})}`;

function seekTo(time) {
  player.seek(player.at(time + 1e-4));
  curves.follow();
}

async function table(face) {
  const known = app.info.table ?? app.info.fitted, faces = known?.faces ?? [];
  app.main = known?.main ?? null;  // nobody is numbered without a table
  await choose(faces.some(one => one.number === face) ? face : app.main);
  curves.look(...curves.whole);
  $("faces").replaceChildren(...faces.map(one => element("button", {role: "radio", "data-face": one.number, "aria-checked": String(one.number === app.face), "aria-label": `face ${one.number}, seen in ${one.frames} frames`, title: `face ${one.number}: ${one.frames} frames`, onclick: () => choose(one.number).catch(tell)}, element("canvas", {width: 76, height: 76}), element("span", {}, String(one.number)))));
  $("detect").hidden = Boolean(app.info.table);
  const key = app.key;
  const paint = (number, video, [x, y, side]) => {
    if (key === app.key) $("faces").querySelector(`[data-face="${number}"] canvas`)?.getContext("2d").drawImage(video, x, y, side, side, 0, 0, 76, 76);
  };
  if (faces.length) whenReady(() => { if (key === app.key) portraits(address(), app.info, faces, player.times, player.boxes, player.shift, paint); });
}

function whenReady(then) {
  if (player.ready) then(); else player.addEventListener("ready", then, {once: true});
}

// A face: its numbers, of the table and of the fitted detector.
async function choose(face) {
  const key = app.key;
  app.asked = face;
  const [read, fitted] = await Promise.all(["table", "fitted"].map(of => of === "table" || app.info.fitted ? numbers(key, of, face ?? 0) : null)).catch(error => { app.asked = app.face; throw error; });
  if (key !== app.key || face !== app.asked) return;  // another was chosen in the meantime
  const own = app.info.table || !fitted ? read : fitted;  // without a table the fitted detector's has the faces
  app.face = player.face = face;
  for (const button of $("faces").children) button.setAttribute("aria-checked", String(Number(button.dataset.face) === face));
  const boxes = new Map(Object.entries(own).filter(([name]) => name.startsWith("box")).map(([name, values]) => [Number(name.slice(3)), values]));
  player.near = null;
  player.frames = own.frame;
  player.use(own.time, boxes);
  const series = new Map();
  const add = (about, found, colour) => {
    for (const one of about?.aus ?? []) if (found[au(one.au)]) {
      if (!series.has(one.au)) series.set(one.au, []);
      series.get(one.au).push({values: found[au(one.au)], decided: found[au(one.au) + "_c"], low: one.low, full: one.full, kind: one.kind, column: one.column, threshold: colour === "second" ? teach.threshold(one.au) : null, colour});
    }
  };
  add(app.info.table, own, "accent");
  if (fitted) add(app.info.fitted, onto(player.times, fitted), "second");
  app.series = series;
  tableNote();
  const rows = [{kind: "coded"}, ...app.state.aus.map(one => ({au: one.au}))];
  names(app.state.aus, number => panel.toggle(number), () => panel.press("coded"));
  curves.show(rows, series);
  legend();
  values();
  panel.show();
}

const plural = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

// What made the table, and why a face has no values.
function tableNote() {
  const about = app.info.table;
  const said = Object.entries(about?.settings ?? {}).map(([name, value]) => SHORT[name]?.(value)).filter(Boolean);
  const flags = about?.faces.find(one => one.number === app.face)?.flags ?? {};
  const unread = Object.entries(flags).map(([flag, frames]) => `face ${app.face} ${UNREAD[flag] ?? flag} in ${plural(frames, "frame")}`);
  const reasons = Object.values(about?.missing ?? {});
  const missing = [...new Set(reasons)].map(why => `${plural(reasons.filter(one => one === why).length, "action unit")} without values: ${why}`);
  $("table-note").textContent = about ? [about.model ? `model ${about.model}` : "", ...said, ...unread, ...missing].filter(Boolean).join("; ") : "there is no table of this recording yet";
}

function legend() {
  const parts = [["i-code", "codes"], app.info.table && ["i-table", "curve of the table"], app.info.fitted && ["i-fitted", "your fitted detector"]].filter(Boolean);
  $("legend").replaceChildren(...parts.flatMap(([kind, what]) => [element("i", {class: kind}), what]));
}

function values() {
  for (const place of $("names").querySelectorAll("[data-value]")) {
    const one = app.series?.get(Number(place.dataset.value))?.at(-1), value = one?.values[player.index], why = app.info.table?.missing[place.dataset.value];
    const text = one === undefined ? (why ? "none" : app.info.table ? "not read" : "") : Number.isNaN(value) ? "–" : value.toFixed(2);
    if (place.textContent !== text) { place.textContent = text; place.title = one === undefined && why || ""; }
  }
  const time = player.time;
  $("clock").textContent = `${clock(time)}  frame ${player.frames?.[player.index] ?? player.index}`;
  const plot = $("plot");
  plot.setAttribute("aria-valuemin", "0"); plot.setAttribute("aria-valuemax", String(player.last));
  plot.setAttribute("aria-valuenow", String(player.index)); plot.setAttribute("aria-valuetext", `frame ${player.index}, ${time.toFixed(2)} seconds`);
}

function say(text, bad = false) {
  $("saved").textContent = text;
  $("saved").classList.toggle("bad", bad);
}

function loop() {
  if (player.loop) player.loop = null;
  else {
    const code = panel.chosen;
    const [from, to] = code && code.kind !== "none" ? [code.onset_s, code.offset_s] : curves.episode(app.row) ?? curves.view;
    player.loop = [player.at(from + 1e-4), Math.max(player.at(from + 1e-4) + 1, player.at(to - 1e-4) + 1)];
    player.seek(player.loop[0]); player.play();
  }
  $("loop").setAttribute("aria-pressed", String(Boolean(player.loop)));
  curves.move();
}

function zoom() {
  player.zoomed = !player.zoomed; player.near = null;
  $("zoom").setAttribute("aria-pressed", String(player.zoomed));
  player.draw();
}

function speed(turn) {
  const list = [...$("speed").options].map(option => option.value), at = Math.min(Math.max(list.indexOf($("speed").value) + turn, 0), list.length - 1);
  $("speed").value = list[at]; player.video.playbackRate = Number(list[at]);
}

const tabs = ["code", "compare", "teach"];
function tab(name) {
  for (const one of tabs) {
    $("panel-" + one).hidden = one !== name;
    $("tab-" + one).setAttribute("aria-selected", String(one === name));
    $("tab-" + one).tabIndex = one === name ? 0 : -1;
  }
  if (name === "compare") compare.refresh();
  if (name === "teach") teach.refresh();
}

const keys = keyboard(app, {panel, loop, zoom, speed, tab, tabs, differ: turn => compare.go(turn)});

// --- what is clicked

const click = (id, then) => $(id).addEventListener("click", then);
click("play", () => player.toggle());
click("back", () => { player.pause(); player.seek(player.index - 1); curves.follow(); });
click("forward", () => { player.pause(); player.seek(player.index + 1); curves.follow(); });
click("loop", loop); click("zoom", zoom);
click("sound", () => { player.video.muted = !player.video.muted; $("sound").setAttribute("aria-pressed", String(!player.video.muted)); });
click("in", () => curves.zoom(.5)); click("out", () => curves.zoom(2)); click("whole", () => curves.look(...curves.whole));
click("help-open", () => $("help").showModal());
for (const name of tabs) click("tab-" + name, () => tab(name));
$("speed").addEventListener("change", () => { player.video.playbackRate = Number($("speed").value); });
$("recording").addEventListener("change", () => open($("recording").value));
$("coder").addEventListener("change", async () => {
  const name = $("coder").value.trim();
  try { await coding.load(app.key, name); remember("coder", name); compare.offer(true); }
  catch (error) { $("coder").value = coding.coder ?? ""; say(error.message, true); }
});
for (const id of ["coder", "comment"]) $(id).addEventListener("keydown", event => { if (event.key === "Enter") $(id).blur(); });
$("import").addEventListener("change", async () => {
  const [file] = $("import").files;
  if (!file || !panel.named()) return;
  try {
    await coding.leave();
    const done = await ask(`import?${query({name: file.name, coder: $("coder").value.trim()})}`, {method: "POST", body: file});
    note($("import-note"), `${done.added} of ${done.read} codes were new. ${done.notes.join(" ")}`);
    await coding.load(app.key, coding.coder); await reload(); compare.offer();
  } catch (error) { note($("import-note"), error.message); }
  $("import").value = "";
});
$("export").addEventListener("change", () => {
  const form = $("export").value;
  $("export").value = "";
  if (form) element("a", {href: `api/export/${form}?${query({coder: coding.coder ?? ""})}`, download: ""}).click();
});

player.addEventListener("frame", () => {
  coding.stretch(player.time, panel.frameEnd);
  if (coding.open.length) curves.paint();
  curves.follow(); values();
});
player.addEventListener("state", () => {
  const stopped = player.video.paused;
  $("play").textContent = stopped ? "▶" : "❚❚"; $("play").setAttribute("aria-label", stopped ? "Play" : "Stop");
});
player.addEventListener("trouble", () => {
  if (!app.info) return;
  note($("trouble"), "This browser cannot play this recording. Its curves and codes are shown all the same; a copy that plays keeps every frame at its time.");
  $("copy").textContent = "make a copy that plays";
  $("copy").hidden = false;
});
player.addEventListener("slow", () => {
  if (!app.info || app.info.copy || !$("copy").hidden) return;
  note($("hint"), "Going to a frame takes long in this recording: it has few keyframes. A copy with many of them (at most 720 lines, every frame at its time) is quick; the recording stays as it is.");
  $("copy").textContent = "make a copy that is quick";
  $("copy").hidden = false;
});
curves.addEventListener("pick", event => panel.select(event.detail.id));
coding.addEventListener("state", () => {
  say(coding.state === "not saved" ? `not saved: ${coding.why}` : coding.state, coding.state === "not saved");
  if (coding.state !== "saved") return;
  const one = app.state.recordings.find(known => known.key === coding.key);
  if (one && coding.codes.length && !one.coded.includes(coding.coder)) {
    one.coded.push(coding.coder);
    app.state.coders = [...new Set([...app.state.coders, coding.coder])].sort();
    lists();
  }
  compare.later();
});
const width = () => { $("read-only").hidden = !narrow.matches; };
narrow.addEventListener("change", width); width();
start().catch(tell);
