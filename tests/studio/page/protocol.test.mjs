import assert from "node:assert/strict";
import { test } from "node:test";
import { closed, FrameMeter, heard, IDLE, isLive, keyed, parse, patience, say } from "../../../choreo/studio/static/logic/protocol.mjs";

const step = (n, more = {}) => ({ type: "step", step: n, move: 0, skill: 3, reward: 0.5, at: [n, 0], ...more });
const play = (...messages) => messages.reduce(heard, { ...IDLE, phase: "connecting" });

test("a performance from ready to its end", () => {
  const state = play({ type: "ready" }, step(0), step(1, { skill: 5 }), { type: "ended", return: 1, steps: 2 });
  assert.deepEqual([state.phase, state.step, state.skill, state.total], ["ended", 1, 5, 1]);
  assert.deepEqual(state.path, [[0, 0], [1, 0]]);
  assert.equal(closed(state).phase, "ended");
});

test("steps that are under way while it is paused do not resume it", () => {
  const paused = { ...play({ type: "ready" }, step(0)), phase: "paused" };
  assert.equal(heard(paused, step(1)).phase, "paused");
});

test("a connection that breaks is said, with what to do", () => {
  const state = closed(play({ type: "ready" }, step(0)));
  assert.equal(state.phase, "failed");
  assert.ok(state.error && state.advice && !isLive(state));
});

test("an error of the server is kept when the socket closes after it", () => {
  const state = closed(play({ type: "error", error: "The simulator died.", do: "Try again." }));
  assert.deepEqual([state.error, state.advice], ["The simulator died.", "Try again."]);
});

test("missing rewards and places are not made up", () => {
  const state = play(step(0, { reward: null, at: null }));
  assert.deepEqual([state.reward, state.total, state.path], [null, 0, []]);
});

test("what is no message is none", () => {
  for (const text of ["", "3", "null", "{}", '{"type": 3}', "{"]) assert.equal(parse(text), null, text);
  assert.deepEqual(heard(IDLE, { type: "unheard of" }), IDLE);
});

test("what is sent has the form that was agreed", () => {
  const score = { moves: [{ skill: 1, steps: 2 }], seed: 9 };
  assert.deepEqual(say.start(score, { speed: 2 }), { type: "start", score, seed: 9, speed: 2 });
  assert.deepEqual(say.skill(4), { type: "skill", skill: 4 });
});

test("frames per second over the last two seconds", () => {
  const meter = new FrameMeter(2000);
  assert.equal(meter.tick(0), null);
  for (let n = 1; n <= 200; n++) meter.tick(n * 25);
  assert.ok(Math.abs(meter.rate - 40) < 1e-9);
  assert.ok(meter.times.length <= 82);
});

test("patience grows and has an end", () => {
  assert.ok(patience(1) > patience(0));
  assert.equal(patience(100), 2000);
});

test("number keys: 1 is the first, 0 the tenth, others none", () => {
  const skills = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19];
  assert.deepEqual(["1", "9", "0", "a", "F1", ""].map((key) => keyed(key, skills)), [10, 18, 19, null, null, null]);
  assert.equal(keyed("5", [1]), null);
});
