import assert from "node:assert/strict";
import { test } from "node:test";
import { byHit, figures, radius, readAtlas, spoken } from "../../../choreo/studio/static/logic/atlas.mjs";
import { number, percent, place, plural, progressText, readable, share, tick } from "../../../choreo/studio/static/logic/format.mjs";
import { bars, missedBy, missedSentence, ranked } from "../../../choreo/studio/static/logic/ranking.mjs";
import { conditionOf, offered, readRoute, settled, writeRoute } from "../../../choreo/studio/static/logic/route.mjs";
import { leavesSentence, pieces, running, stretches, tally, thinned } from "../../../choreo/studio/static/logic/series.mjs";

test("figures as they are read", () => {
  const cases = [[percent(0.8123), "81%"], [percent(0.0123), "1.2%"], [percent(null), "–"], [percent(0), "0%"],
    [percent(1), "100%"], [number(-1234.6), "−1,235"], [number(0.012345), "0.0123"], [number(2e-5), "2.0e−5"],
    [number(undefined), "–"], [tick(20_000), "20k"], [tick(1.5e6), "1.5M"], [plural(1, "step"), "1 step"],
    [plural(2, "step"), "2 steps"], [place([1, -2], ["x", "head_height"]), "x 1, head height −2"],
    [readable("walker_stand"), "walker stand"], [readable("dmc:point_mass-easy"), "dmc:point_mass-easy"]];
  for (const [found, wanted] of cases) assert.equal(found, wanted);
});

test("progress in words and as a share", () => {
  assert.equal(progressText({ stage: "playing skills", done: 3, total: 64 }), "Playing skills: 3 of 64");
  assert.equal(progressText(null), "Working");
  assert.equal(share({ done: 1, total: 4 }), 0.25);
  assert.equal(share({ done: 1, total: 0 }), null);
});

const atlas = readAtlas({
  axes: ["x", "y"], kind: "coordinates",
  skills: [
    { skill: 2, x: 0, y: 1, use: 0.5, hit_rate: 0.2, path: [[0, 0], [null, 1]], safety: { falls: 0.5 }, idle: false },
    { skill: 0, x: 0, y: 1, use: 0, hit_rate: 0.9, idle: true },
    { skill: 1, x: 0, y: 1, use: 0.1, hit_rate: 0.8, idle: false },
  ],
});

test("an atlas is read with what is missing filled in", () => {
  assert.deepEqual(atlas.skills.map((found) => found.skill), [0, 1, 2]);
  assert.deepEqual(atlas.skills[2].path, [[0, 0]]);
  assert.deepEqual(readAtlas(null).skills, []);
});

test("idle codes stand last, however they were met", () => {
  assert.deepEqual(byHit(atlas).map((found) => found.skill), [1, 2, 0]);
});

test("a screen reader hears what is seen", () => {
  assert.equal(spoken(atlas.skills[1], ["x", "y"], "coordinates"), "Skill 1, hit rate 80%, use 10%, ends at x 0, y 1.");
  assert.match(spoken(atlas.skills[0], ["x", "y"], "coordinates"), /idle code/);
});

test("figures of a skill have words, nested ones too", () => {
  const rows = figures(atlas.skills[2]);
  assert.deepEqual(rows.map((row) => [row.label, row.value]), [["Use", "50%"], ["Hit rate", "20%"], ["Falls", "50%"]]);
  assert.ok(rows.every((row) => row.meaning));
});

test("the area of a point grows with use", () => {
  assert.ok(Math.abs(radius(0.25, [0.25, 1], 0, 10) - 5) < 1e-9);
  assert.equal(radius(null, [null]), 5);
});

test("a ranking is in order whatever came, and what has no score stands last", () => {
  const best = ranked([{ skill: 1, score: -3 }, { skill: 2, score: null }, { skill: 0, score: 4 }, { skill: 5, score: 4 }]);
  assert.deepEqual(best.map((entry) => entry.skill), [0, 5, 1, 2]);
  assert.deepEqual(bars(best), [1, 1, 0, 0]);
  assert.deepEqual(bars([{ score: 2 }]), [1]);
  const level = [false, false];
  assert.deepEqual(missedBy([[0, 0], [3, -4]], [0, 0], level), [3, 4]);
  assert.ok(Math.abs(missedBy([[1, -3]], [1, 3], [false, true])[1] - (2 * Math.PI - 6)) < 1e-9);
  assert.equal(missedBy([], [0, 0], level), null);
  const map = { axes: ["height", "torso_angle"], kind: "coordinates", round: [false, true] };
  assert.equal(missedSentence([0.25, 1], map), "It ended off the goal by 0.25 in height and 1 rad in torso angle.");
  assert.match(missedSentence([1, 2], { ...map, kind: "embedding", round: level }), /in the map's own unit/);
  assert.equal(missedSentence(null, map), "");
});

test("an address leads to the same view, and a made-up one to the usual", () => {
  const route = { run: "a b", beside: null, view: "dream", condition: "random", skill: 3 };
  assert.deepEqual(readRoute(writeRoute(route)), route);
  assert.deepEqual(readRoute("#view=<b>&condition=x&skill=1e9"),
    { run: null, beside: null, view: "skills", condition: "trained", skill: null });
  const runs = [{ id: "one" }, { id: "two" }];
  assert.equal(settled(readRoute("#run=gone&beside=two"), runs).run, "one");
  assert.equal(settled(readRoute("#run=gone&view=dream"), runs).view, "runs");
  assert.equal(settled(readRoute("#run=two&view=dream"), runs).view, "dream");
  assert.equal(settled(readRoute("#run=two&beside=two"), runs).beside, null);
  assert.equal(settled(readRoute(""), []).run, null);
  assert.equal(settled(readRoute(""), [{ id: "new", skills: 0 }, { id: "old", skills: 4 }]).run, "old");
  assert.equal(settled(readRoute(""), [{ id: "new", skills: 0 }]).run, "new");
  assert.deepEqual([settled(readRoute(""), runs).view, settled(readRoute(""), [{ id: "one" }]).view], ["runs", "skills"]);
});

test("a condition is offered where it means something, and else the view says why", () => {
  const [run, blind] = [{ simulates: true }, { simulates: false }];
  for (const view of ["choices", "learning", "runs"]) assert.deepEqual(offered(view, run).conditions, []);
  for (const view of ["skills", "dream", "choreograph"]) assert.equal(offered(view, run).conditions.length, 3);
  for (const [view, each] of [["prompt", run], ["skills", blind]]) {
    assert.deepEqual(offered(view, each).conditions, ["trained", "untrained"]);
    assert.match(offered(view, each).why, /Random actions/);
    assert.equal(conditionOf({ view, condition: "random" }, each), "trained");
  }
  assert.equal(conditionOf({ view: "dream", condition: "random" }, run), "random");
  assert.equal(conditionOf({ view: "learning", condition: "random" }, run), "trained");
});

test("a thinned path keeps each skill's own part", () => {
  const path = Array.from({ length: 101 }, (_, n) => [n, n]);
  const skills = Array.from({ length: 400 }, (_, n) => (n < 100 ? 7 : 2));
  const [first, second] = pieces(path, skills).map(({ points }) => [points[0][0], points[points.length - 1][0]]);
  assert.deepEqual([first, second], [[0, 25], [25, 100]]);
});

test("stretches of skills cover every step once", () => {
  assert.deepEqual(stretches([4, 4, 1, 4]), [{ skill: 4, from: 0, to: 2 }, { skill: 1, from: 2, to: 3 }, { skill: 4, from: 3, to: 4 }]);
  assert.deepEqual(tally([4, 4, 1, 4])[0], [4, 3]);
  assert.deepEqual(running([1, null, 2]), [1, 1, 3]);
});

test("a dream that leaves says when", () => {
  assert.match(leavesSentence(12, 100, 0.5), /step 12 of 100/);
  assert.match(leavesSentence(null, 100, 0.3), /stays with reality/);
  assert.match(leavesSentence(null, 100, 1.2), /no nearer than always guessing the mean/);
  assert.match(leavesSentence(0, 100, 2), /first step/);
});

test("long curves are thinned with their ends kept", () => {
  const points = Array.from({ length: 5000 }, (_, n) => [n, n]);
  const few = thinned(points, 100);
  assert.deepEqual([few.length, few[0][0], few[99][0]], [100, 0, 4999]);
});
