import assert from "node:assert/strict";
import { test } from "node:test";
import { contrast, inkOn, luminance, shareColour } from "../../../choreo/studio/static/logic/colour.mjs";
import { coreLimits, limits, linear, lineThrough, neighbour, plane, settledAt, ticks } from "../../../choreo/studio/static/logic/scale.mjs";

const shares = Array.from({ length: 101 }, (_, n) => n / 100);

test("the scale grows lighter all the way, so that it needs no hue to be read", () => {
  const light = shares.map((share) => luminance(shareColour(share)));
  light.slice(1).forEach((value, n) => assert.ok(value > light[n], `at ${n}`));
});

test("what is not measured is grey, what is out of range stays in it", () => {
  for (const none of [null, undefined, NaN]) assert.deepEqual(shareColour(none), [154, 165, 177]);
  assert.deepEqual(shareColour(7), shareColour(1));
  assert.deepEqual(shareColour(-1), shareColour(0));
});

test("numbers on the scale can be read (WCAG AA)", () => {
  for (const share of shares) {
    const ground = shareColour(share);
    assert.ok(contrast(ground, inkOn(ground)) >= 4.5, `at ${share}`);
  }
  assert.ok(Math.abs(contrast([0, 0, 0], [255, 255, 255]) - 21) < 1e-9);
});

test("limits leave out what is missing and never have no size", () => {
  assert.deepEqual(limits([[0, 0], [2, 4], [NaN, 9], null], 0), { x0: 0, x1: 2, y0: 0, y1: 4 });
  const { x0, x1, y0, y1 } = limits([[3, 0]]);
  assert.ok(x1 > x0 && y1 > y0);
  assert.ok(limits([]).x1 > limits([]).x0);
});

test("a stray path does not shrink the map, an end never falls off it", () => {
  const path = Array.from({ length: 100 }, (_, n) => [n === 50 ? 1000 : n / 100, 0.5]);
  const { x0, x1 } = coreLimits([[0, 0], [2, 1]], path, 0);
  assert.deepEqual([x0, x1], [0, 2]);
  assert.deepEqual(coreLimits([[0, 0], [2, 1]], [], 0), { x0: 0, x1: 2, y0: 0, y1: 1 });
});

test("a click leads back to the coordinates it stands for", () => {
  const { x, y } = plane({ x0: -2, x1: 2, y0: 0, y1: 1 }, { left: 50, top: 10, width: 400, height: 200 });
  assert.deepEqual([x(-2), x(2), y(0), y(1)], [50, 450, 210, 10]);
  assert.ok(Math.abs(x.back(x(1.3)) - 1.3) < 1e-12 && Math.abs(y.back(y(0.2)) - 0.2) < 1e-12);
  assert.ok(Number.isFinite(linear([1, 1], [0, 9])(1)));
});

test("metres stay square where asked", () => {
  const { x, y } = plane({ x0: 0, x1: 1, y0: 0, y1: 1 }, { left: 0, top: 0, width: 300, height: 100 }, true);
  assert.ok(Math.abs((x(1) - x(0)) - (y(0) - y(1))) < 1e-9);
});

test("ticks are round and within the limits", () => {
  assert.deepEqual(ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks(-0.3, 0.3, 3), [-0.2, 0, 0.2]);
  assert.deepEqual(ticks(2, 2), [2]);
});

test("a missing point breaks the line", () => {
  const same = (value) => value;
  assert.equal(lineThrough([[0, 0], [1, 1], [null, 1], [2, 2]], same, same, [false, false]), "M0.0 0.0L1.0 1.0M2.0 2.0");
  const turn = [[0, 2], [1, 3], [2, -3]];
  assert.equal(lineThrough(turn, same, same, [false, true]), "M0.0 2.0L1.0 3.0M2.0 -3.0");
  assert.equal(lineThrough(turn, same, same, [true, false]), "M0.0 2.0L1.0 3.0L2.0 -3.0");
});

test("arrow keys go to the near point on that side, or stay", () => {
  const points = [[0, 0], [1, 0], [2, 0.1], [0, 1]];
  assert.equal(neighbour(points, 0, "ArrowRight"), 1);
  assert.equal(neighbour(points, 0, "ArrowUp"), 3);
  assert.equal(neighbour(points, 2, "ArrowLeft"), 1);
  assert.equal(neighbour(points, 0, "ArrowLeft"), 0);
});

test("Page Up and Page Down reach every point, in order of number", () => {
  const points = Array.from({ length: 40 }, (_, n) => [Math.sin(n * 12.9) * 5, Math.cos(n * 78.2)]);
  const walk = (key, from) => points.reduce((at) => neighbour(points, at, key), from);
  assert.deepEqual([walk("PageDown", 0), walk("PageUp", 39)], [39, 0]);
  assert.deepEqual([neighbour(points, 4, "PageDown"), neighbour(points, 4, "Home"), neighbour(points, 4, "End")], [5, 0, 39]);
});

test("a place on the map is told in digits that count", () => {
  const area = { x0: -0.1, x1: 0.3, y0: -4000, y1: 4000 };
  assert.deepEqual(settledAt([-0.0001934, 1234.567], area), [0, 1235]);
  assert.deepEqual(settledAt([0.07891, -3.4], area), [0.079, -3]);
});
