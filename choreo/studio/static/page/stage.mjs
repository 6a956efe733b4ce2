// The stage: a score performed live in the simulator, with number keys for other skills.

import { skillColour } from "../logic/colour.mjs";
import { number } from "../logic/format.mjs";
import { closed, FrameMeter, heard, IDLE, isLive, keyed, parse, say } from "../logic/protocol.mjs";
import { leaveSocket, openSocket, runPath } from "./api.mjs";
import { announce, button, el, isDark, put, select } from "./dom.mjs";
import { failed, note } from "./notes.mjs";

const SPEEDS = [["0.5", "half pace"], ["1", "own pace"], ["2", "twice"], ["0", "as fast as it goes"]];
const SIZE = 384; // pixels of a frame that is asked for

/**
 * A stage for a run. `score()` gives what to play, `skills()` those of the number keys.
 * `told(state)` hears of every step and of the end.
 */
export function stage(ctx, { score, skills, told = () => {}, name = "Perform" }) {
  const self = { ctx, state: IDLE, socket: null, meter: new FrameMeter(), decoding: false, due: null, speed: "1", told, skills };
  build(self, score, name);
  document.addEventListener("keydown", (event) => key(self, event), { signal: ctx.signal });
  ctx.signal.addEventListener("abort", () => leaveSocket(self.socket));
  self.node.perform = (wanted) => perform(self, wanted);
  self.node.renewKeys = () => drawKeys(self);
  return self.node;
}

function build(self, score, name) {
  self.canvas = el("canvas", { width: SIZE, height: SIZE, role: "img", "aria-label": "The simulator, live" });
  self.figures = el("p", { class: "live", "aria-label": "Live figures" }, "Not performing.");
  self.trouble = el("div", {});
  self.start = button(name, () => (isLive(self.state) ? send(self, say.stop()) : perform(self, score())), { "data-do": "perform" });
  self.pause = button("Pause", () => halt(self), { class: "quiet", disabled: true });
  self.keys = el("div", { class: "keys", role: "group", "aria-label": "Switch the skill live: number keys" });
  const pace = (value) => {
    self.speed = value;
    if (isLive(self.state)) send(self, say.speed(Number(value)));
  };
  const speed = select(SPEEDS, "1", pace, { "aria-label": "Pace" });
  const picture = self.ctx.run.renders ? self.canvas : note("No pictures can be drawn here; path and figures go on.");
  self.name = name;
  self.node = el("div", { class: "stage" }, picture,
    el("div", { class: "bar" }, self.start, self.pause, speed), self.figures, self.keys, self.trouble);
  drawKeys(self);
}

function drawKeys(self) {
  const dark = isDark();
  put(self.keys, self.skills().map((skill, n) =>
    el("button", {
      type: "button", class: "key-cap", disabled: !steered(self),
      "aria-pressed": String(self.state.skill === skill), "aria-label": `Key ${(n + 1) % 10}: skill ${skill}`,
      css: { "--own": skillColour(skill, dark) }, "data-skill": skill, on: { click: () => switchTo(self, skill) },
    }, el("kbd", {}, String((n + 1) % 10)), el("span", {}, `${skill}`))),
  button("Back to the score", () => switchTo(self, null), { class: "quiet", disabled: !steered(self) }),
  self.ctx.condition === "random" && note("Random actions follow no skill: there is nothing to switch.", "", "note quiet"));
}

/** Whether a switch of skill would change what is played. */
const steered = (self) => isLive(self.state) && self.ctx.condition !== "random";

function perform(self, wanted) {
  leaveSocket(self.socket);
  put(self.trouble);
  if (wanted.moves.length === 0) {
    put(self.trouble, note("There is nothing to perform.", "Put a skill on the line first."));
    return;
  }
  self.meter = new FrameMeter();
  renew(self, { ...IDLE, phase: "connecting" });
  const socket = openSocket(runPath(self.ctx.run, "perform"));
  self.socket = socket;
  const more = { speed: Number(self.speed), size: SIZE, condition: self.ctx.condition };
  socket.addEventListener("open", () => send(self, say.start(wanted, more)));
  socket.addEventListener("message", ({ data }) => {
    if (socket !== self.socket) return; // of the performance before
    if (typeof data === "string") hear(self, parse(data));
    else picture(self, data);
  });
  socket.addEventListener("close", () => socket === self.socket && renew(self, closed(self.state)));
  announce("Performing. Number keys switch the skill.");
}

function send(self, message) {
  if (self.socket?.readyState === WebSocket.OPEN) self.socket.send(JSON.stringify(message));
}

function hear(self, message) {
  if (!message) return;
  if (message.type === "step" && !message.frame) self.meter.tick(performance.now());
  renew(self, heard(self.state, message));
  if (self.state.phase === "ended" || self.state.phase === "failed") leaveSocket(self.socket);
}

/** Draw a frame; one that comes while another is decoded is left out. */
async function picture(self, blob) {
  self.meter.tick(performance.now());
  if (self.decoding) return;
  self.decoding = true;
  try {
    const bitmap = await createImageBitmap(blob);
    if (self.canvas.width !== bitmap.width) [self.canvas.width, self.canvas.height] = [bitmap.width, bitmap.height];
    self.canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
  } catch {
    // A broken frame is left out; the next one comes soon.
  } finally {
    self.decoding = false;
  }
}

/** Take a new state; steps are shown once per picture of the screen, changes at once. */
function renew(self, state) {
  const before = self.state;
  self.state = state;
  if (before.phase === state.phase && before.skill === state.skill) {
    if (!self.due) self.due = requestAnimationFrame(() => shown(self, self.state));
    return;
  }
  shown(self, state);
  if (before.phase !== state.phase) changed(self, state);
  drawKeysKeepingFocus(self);
}

function shown(self, state) {
  cancelAnimationFrame(self.due);
  self.due = null;
  const live = isLive(state);
  self.start.textContent = live ? "Stop" : self.name;
  self.pause.disabled = !live || state.phase === "connecting";
  self.pause.textContent = state.phase === "paused" ? "Resume" : "Pause";
  self.figures.textContent = sentence(state, self.meter.rate);
  self.node.dataset.phase = state.phase;
  self.told(state);
}

function drawKeysKeepingFocus(self) {
  const held = self.keys.contains(document.activeElement) ? document.activeElement.dataset.skill : null;
  drawKeys(self);
  if (held !== null) self.keys.querySelector(`[data-skill="${held}"]`)?.focus();
}

function changed(self, state) {
  if (state.phase === "ended") announce(`Performance ended after ${state.step} steps.`);
  if (state.phase !== "failed") return;
  const problem = { message: state.error, advice: state.advice };
  put(self.trouble, failed(problem));
}

function sentence(state, rate) {
  if (state.phase === "idle") return "Not performing.";
  if (state.phase === "connecting") return "The simulator is getting ready.";
  if (state.phase === "failed") return "Not performing.";
  const pace = rate ? `${Math.round(rate)} frames/s` : "";
  const parts = [`step ${Math.max(state.step, 0)}`, `skill ${state.skill ?? "–"}`, `return ${number(state.total)}`, pace];
  return (state.phase === "ended" ? "Ended: " : "") + parts.filter(Boolean).join(" · ");
}

function halt(self) {
  const paused = self.state.phase === "paused";
  send(self, paused ? say.resume() : say.pause());
  renew(self, { ...self.state, phase: paused ? "playing" : "paused" });
}

function switchTo(self, skill) {
  send(self, say.skill(skill));
  announce(skill === null ? "The score goes on." : `Skill ${skill}.`);
}

function key(self, event) {
  const typing = event.target.matches?.("input, select, textarea");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !steered(self)) return;
  const skill = keyed(event.key, self.skills());
  if (skill === null) return;
  event.preventDefault();
  switchTo(self, skill);
}
