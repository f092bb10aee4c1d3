// The live page: takes frames one at a time, draws them, and says so; the newest one comes then.
import {setColours} from "./colours.js";
import {CellView} from "./cell.js";
import {Connection, ask} from "./connection.js";
import {Field} from "./field.js";
import {Histogram} from "./histogram.js";
import {CellList} from "./list.js";
import {Meters} from "./meters.js";
import {Notices} from "./notices.js";
import {letGo, readFrame} from "./wire.js";
import {sentence} from "./words.js";

const SILENCE = 3000;
const WHOLE_FIELD = "Whole field: where there is no head, a model that was trained on heads draws what is not there.";
const by = (id) => document.getElementById(id);

const state = {
  session: null, frame: null, selected: null, labels: true, quantity: null, paused: false, recording: null,
  connected: false, lastFrame: 0, alone: "both", lostWhy: "",
};
const fields = [new Field(by("brightfield"), "brightfield", {coloured: true}), new Field(by("stains"), "stains", {coloured: false})];
const list = new CellList(by("cells"), by("list-count"), choose);
const cellView = new CellView(by("cell"));
const histogram = new Histogram(by("spread"));
const meters = new Meters(by("meters"));
const notices = new Notices(by("notices"));
const connection = new Connection({hello, text, frame: take, up, down});

function hello(session) {
  if (state.session && state.session.session !== session.session) choose(null); // its tracks are other cells
  state.session = session;
  setColours(session.colours);
  const names = session.quantities.map(({name}) => name);
  if (!names.includes(state.quantity)) state.quantity = names[0] ?? null;
  by("quantity").replaceChildren(...names.map((name) => new Option(name, name, false, name === state.quantity)));
  by("quantity").hidden = names.length < 2;
  cellView.setStains(session.stains);
  const both = [["green, red", "red"], ["green, magenta", "magenta"]];
  const single = session.stains.slice(0, 3).map((name, index) => [`only ${name}`, String(index)]);
  const options = (session.stains.length > 1 ? both : []).concat(single);
  const chosen = localStorage.getItem("vsf-colours");
  by("colours").replaceChildren(...options.map(([label, value]) => new Option(label, value, false, value === chosen)));
  colours();
  const about = [session.source, session.mode === "cells" ? "heads only" : "whole field", session.engine];
  by("about").textContent = about.join(" · ");
  by("about").title = `model ${session.bundle.slice(0, 12)}, policy ${session.policy}`;
  by("simulated").hidden = !session.simulated;
  write(by("whole-field"), session.mode === "field" ? WHOLE_FIELD : "");
  by("intended").textContent = sentence(session.intended_use);
  notices.recall(session.notices);
  controls(session.state);
}


function text(said) {
  if (said.type === "state") controls(said);
  if (said.type === "notice") notices.add(said);
}

function up() {
  state.connected = true;
  state.lastFrame = performance.now();
  by("lost").hidden = true;
  state.lostWhy = "";
  document.body.classList.remove("stale");
  status();
}

function down(reason) {
  state.connected = false;
  by("lost").hidden = false;
  if (reason) state.lostWhy = `${sentence(reason)} `; // of the first loss: to try again in vain has none
  write(by("lost"), `Connection lost: what you see is old. ${state.lostWhy}Trying again …`);
  document.body.classList.add("stale");
  status();
}

async function take(buffer) {
  let frame;
  try {
    frame = await readFrame(buffer);
  } catch (error) {
    notices.error(`A frame could not be read (${error.message}); the next one may be.`);
    connection.say(true);
    return;
  }
  requestAnimationFrame(() => {
    const before = state.frame;
    state.frame = frame;
    state.lastFrame = performance.now();
    for (const cell of frame.cells) cell.full = cell.length * frame.reduced;
    draw();
    meters.frame(frame);
    if (before) letGo(before);
    connection.say(!document.hidden);
  });
}

function draw() {
  const {frame, session} = state;
  if (!frame || !session) return;
  const scale = frame.distributions[state.quantity] ?? {low: 0, high: 1, counts: [], cells: 0, median: null};
  const unit = session.quantities.find(({name}) => name === state.quantity)?.unit;
  const view = {...state, scale, unit, outline: session.outline, thumbnails: session.thumbnails};
  fields.forEach((field) => field.draw(frame, view));
  list.draw(frame, view);
  cellView.draw(frame, view);
  if (frame.distributions[state.quantity]) histogram.draw(frame, view);
  levels(frame, session);
  const message = document.querySelector("#brightfield .message");
  message.textContent = frame.problem;
  message.hidden = !frame.problem;
  status();
}

function levels(frame, session) {
  const counts = ([low, high]) => `${Math.round(low)}–${Math.round(high)}`;
  write(document.querySelector("#brightfield .levels"), `${frame.size.join(" × ")} px · ${counts(frame.levels.brightfield)} counts`);
  const legend = document.querySelector("#stains .levels");
  const shown = frame.levels.stains;
  if (legend.children.length !== shown.length) legend.replaceChildren(...shown.map((_, index) => key(session.stains[index], index)));
  shown.forEach((pair, index) => write(legend.children[index].querySelector(".range"), ` ${counts(pair)}`));
  legend.title = `${shown.map((pair, index) => `${session.stains[index]} ${counts(pair)}`).join(", ")} counts, dark to bright`;
  const good = frame.cells.filter((cell) => !cell.abstained).length;
  const label = `${frame.cells.length} cells, ${good} with a number`;
  document.querySelectorAll(".marks").forEach((marks, index) => {
    marks.setAttribute("aria-label", `${index ? "Virtual stain" : "Brightfield"}: ${label}`);
  });
}

function key(name, index) {
  const element = Object.assign(document.createElement("span"), {className: `key key-${index}`, textContent: name});
  element.append(Object.assign(document.createElement("span"), {className: "range"}));
  return element;
}

function write(element, content) {
  if (element.textContent !== content) element.textContent = content;
}

function status() {
  const quiet = performance.now() - state.lastFrame;
  const silent = quiet > SILENCE;
  const [level, words] = !state.connected ? ["bad", "No connection"]
    : state.paused ? ["wait", "Paused"]
    : silent ? ["bad", `No frame for ${Math.round(quiet / 1000)} s`]
    : state.frame ? ["good", state.recording ? "Live, recording" : "Live"] : ["wait", "Waiting for a frame"];
  by("link").dataset.level = level;
  write(by("link"), words);
  const once = words.replace(/ for \d+ s$/, " comes"); // a screen reader says it once, not every second
  write(by("say-state"), once);
  document.title = `${once} · vsf live`;
}

function controls({paused, recording}) {
  Object.assign(state, {paused, recording});
  by("pause").setAttribute("aria-pressed", String(paused));
  write(by("pause").querySelector(".word"), paused ? "Go on" : "Pause");
  by("record").setAttribute("aria-pressed", String(Boolean(recording)));
  write(by("record").querySelector(".word"), recording ? "Stop recording" : "Record");
  by("record").title = recording ? `Recording into ${recording} (R)` : "Start recording (R)";
  if (!paused) state.lastFrame = Math.max(state.lastFrame, performance.now() - SILENCE);
  status();
}

async function request(path, fields) {
  const errors = notices.errors;
  try {
    const said = await ask(path, fields);
    if (path !== "/pause" && notices.errors === errors) notices.info(said.text); // an error may be sooner than the answer
    controls(said);
  } catch (error) {
    notices.error(`${path.slice(1)} did not work: ${error.message}`);
  }
}

function choose(track) {
  state.selected = track;
  connection.select(track);
  draw();
}

function colours() {
  const chosen = by("colours").value;
  document.body.dataset.stain = chosen;
  localStorage.setItem("vsf-colours", chosen);
}

function alone(which) {
  state.alone = which;
  document.body.dataset.alone = which;
  for (const name of ["brightfield", "stains"]) by(name).querySelector(".alone").setAttribute("aria-pressed", String(which === name));
}

const actions = {
  " ": () => request("/pause", {on: !state.paused}),
  s: () => request("/snapshot"),
  r: () => request("/record", {on: !state.recording}),
  l: () => { state.labels = !state.labels; draw(); },
  c: () => { by("colours").selectedIndex = (by("colours").selectedIndex + 1) % by("colours").length; colours(); },
  0: () => alone("both"),
  1: () => alone("brightfield"),
  2: () => alone("stains"),
  "?": () => by("help").showModal(),
  Escape: () => choose(null),
  ArrowDown: () => list.step(state.selected, 1),
  ArrowUp: () => list.step(state.selected, -1),
};

function pressed(event) {
  const writes = event.key.length === 1;
  if (event.ctrlKey || event.metaKey || event.altKey || by("help").open) return;
  if (event.target.closest("button, select, input") && (event.key === " " || event.key.startsWith("Arrow"))) return;
  if (writes && (event.repeat || event.target.closest("select, input") || !by("keys-on").checked)) return;
  const action = actions[writes ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

by("pause").onclick = actions[" "];
by("snapshot").onclick = actions.s;
by("record").onclick = actions.r;
by("help-button").onclick = actions["?"];
by("unselect").onclick = actions.Escape;
by("colours").onchange = colours;
by("keys-on").checked = localStorage.getItem("vsf-keys") !== "off";
by("keys-on").onchange = () => localStorage.setItem("vsf-keys", by("keys-on").checked ? "on" : "off");
by("quantity").onchange = () => { state.quantity = by("quantity").value; draw(); };
document.addEventListener("choose", ({detail}) => choose(detail));
document.addEventListener("keydown", pressed);
for (const which of ["brightfield", "stains"]) {
  by(which).querySelector(".alone").onclick = () => alone(state.alone === which ? "both" : which);
}
if (location.hash) history.replaceState(null, "", location.pathname);
setInterval(status, 500);
by("app").hidden = false;
connection.open();
