import assert from "node:assert/strict";
import { test } from "node:test";
import * as s from "../../../choreo/studio/static/logic/score.mjs";

const three = [[3, 50], [7, 20], [3, 30]].reduce((score, [k, n]) => s.add(score, k, n), s.emptyScore("ab".repeat(32), 4));
const skills = (score) => score.moves.map((move) => move.skill);

test("edits give a new score and leave the old one", () => {
  const before = JSON.stringify(three);
  assert.deepEqual(skills(s.add(three, 9, 10, 1)), [3, 9, 7, 3]);
  assert.deepEqual(skills(s.shift(three, 0, 2)), [7, 3, 3]);
  assert.deepEqual(skills(s.shift(three, 2, -5)), [3, 3, 7]);
  assert.deepEqual(skills(s.remove(three, 1)), [3, 3]);
  assert.deepEqual(s.repeat(three, 1).moves[2], { skill: 7, steps: 20 });
  assert.equal(s.setSteps(three, 0, "12").moves[0].steps, 12);
  assert.equal(JSON.stringify(three), before);
});

test("steps and rounds are at least one, whatever is written into the field", () => {
  for (const wrong of [0, -3, NaN, "", "x"]) {
    assert.equal(s.setSteps(three, 0, wrong).moves[0].steps, 1);
    assert.equal(s.setLoop(three, wrong).loop, 1);
  }
  assert.equal(s.setSeed(three, -1).seed, 0);
});

test("what plays at a step, over rounds", () => {
  const twice = s.setLoop(three, 2);
  assert.equal(s.totalSteps(twice), 200);
  assert.deepEqual([0, 49, 50, 69, 70, 99, 100, 150, 199, 200, -1].map((n) => s.moveAt(twice, n)),
    [0, 0, 1, 1, 2, 2, 0, 1, 2, -1, -1]);
  assert.equal(s.moveAt(s.emptyScore(), 0), -1);
});

test("a saved score is read back as it was", () => {
  assert.deepEqual(s.fromText(s.toText(three), 8), three);
});

test("files that are no score are refused with what to do", () => {
  const bad = ["", "[]", "{}", '{"moves": 3}', '{"moves": [{"skill": 1}]}', '{"moves": [{"skill": 1.5, "steps": 3}]}',
    '{"moves": [], "loop": 0}', '{"moves": [], "start": "air"}', '{"moves": [], "checkpoint": "abc"}', '{"moves": [null]}', '{"moves": [{"skill": 8, "steps": 3}]}'];
  for (const text of bad) {
    assert.throws(() => s.fromText(text, 8), (error) => error instanceof s.ScoreProblem && error.advice !== "", text);
  }
});

test("a score is bounded", () => {
  assert.throws(() => s.setSteps(three, 0, s.MOST_STEPS), /at most 100,000 steps/);
  assert.throws(() => s.setLoop(three, 1001), s.ScoreProblem);
  const full = { ...three, moves: Array(s.MOST_MOVES).fill({ skill: 1, steps: 1 }) };
  assert.throws(() => s.add(full, 1), /at most 1000 moves/);
});

test("number keys hold the skills of the score first, each once", () => {
  assert.deepEqual(s.keySkills(three, [7, 1, 2], 4), [3, 7, 1, 2]);
});
