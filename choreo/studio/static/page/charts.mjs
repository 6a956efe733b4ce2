// Drawings of paths and of values per step.

import { skillColour } from "../logic/colour.mjs";
import { number } from "../logic/format.mjs";
import { limits, lineThrough, plane } from "../logic/scale.mjs";
import { pieces, stepped, stretches, thinned } from "../logic/series.mjs";
import { axes, sheet } from "./axes.mjs";
import { el, fitted, isDark, svg } from "./dom.mjs";

/**
 * Paths in the plane of the map. `paths`: [{points, kind, skills?}], kind real, dream or faint;
 * `round` says which axes hold an angle, `goal` is a cross. The box's `at(step)` puts a dot on every
 * path at a step.
 */
export function pathPlot({ paths, names, label, round, goal = null, square = false, around = [] }, signal) {
  let step = null;
  const all = [...paths.flatMap((path) => path.points), ...around, ...(goal ? [goal] : [])];
  const box = fitted((width) => {
    const height = Math.round(Math.min(Math.max(width * 0.62, 200), 420));
    const { node, box: room } = sheet(width, height, { role: "img", "aria-label": label });
    const scales = plane(limits(all), room, square);
    node.append(axes(scales, room, names));
    for (const path of paths) node.append(onePath(path, scales, round));
    if (goal) node.append(cross(scales.x(goal[0]), scales.y(goal[1])));
    if (step !== null) for (const path of paths) node.append(dot(path, scales, step));
    return node;
  }, { class: "drawing plot" }, signal);
  box.at = (value) => {
    step = value;
    box.redraw();
  };
  return box;
}

/** A path that grows while it is drawn; `follow(points)` gives it anew. */
export function liveTrail({ names, around, label, round }, signal) {
  let points = [];
  const box = fitted((width) => {
    const { node, box: room } = sheet(width, Math.round(Math.min(width * 0.5, 280)), { role: "img", "aria-label": label });
    const scales = plane(limits([...around, ...points]), room);
    node.append(axes(scales, room, names));
    node.append(onePath({ points, kind: "real" }, scales, round), dot({ points, kind: "real" }, scales, Infinity));
    return node;
  }, { class: "drawing plot" }, signal);
  box.follow = (found) => {
    points = found;
    box.redraw();
  };
  return box;
}

function onePath(path, { x, y }, round) {
  if (!path.skills) return svg("path", { class: `path ${path.kind}`, d: lineThrough(path.points, x, y, round) });
  const parts = pieces(path.points, path.skills).map(({ skill, points }) => svg("path", {
    class: "path own",
    stroke: skillColour(skill, isDark()),
    d: lineThrough(points, x, y, round),
  }, svg("title", {}, `Skill ${skill}`)));
  return svg("g", {}, parts);
}

function dot(path, { x, y }, step) {
  const point = path.points[Math.min(step, path.points.length - 1)];
  if (!point || path.kind === "faint" || !Number.isFinite(point[0])) return svg("g");
  return svg("circle", { class: `dot ${path.kind}`, cx: x(point[0]), cy: y(point[1]), r: 5 });
}

function cross(x, y) {
  return svg("path", { class: "goal", d: `M${x - 8} ${y}h16M${x} ${y - 8}v16` });
}

/**
 * Lines over steps or frames. `lines`: [{points, kind, label}]. `mark` is a vertical line
 * {at, text}; the box's `at(step)` moves a cursor.
 */
export function lineChart({ lines, names, label, mark = null, height = 170, zero = false }, signal) {
  let cursor = null;
  const points = lines.flatMap((line) => line.points);
  const area = limits(points, 0.04);
  if (zero) area.y0 = Math.min(area.y0, 0);
  [area.x0, area.x1] = [Math.min(...points.map((p) => p[0])), Math.max(...points.map((p) => p[0]))];
  if (!(area.x1 > area.x0)) area.x1 = area.x0 + 1;
  const box = fitted((width) => {
    const { node, box: room } = sheet(width, height, { role: "img", "aria-label": label });
    const scales = plane(area, room);
    node.append(axes(scales, room, names, { many: 4 }));
    for (const { points: own, kind } of lines) {
      node.append(svg("path", { class: `path ${kind}`, d: lineThrough(thinned(own), scales.x, scales.y, []) }));
      if (own.length === 1) node.append(lone(own[0], scales, kind));
    }
    if (mark) node.append(upright(scales.x(mark.at), room, "mark", mark.text));
    if (cursor !== null) node.append(upright(scales.x(cursor), room, "cursor"));
    return node;
  }, {}, signal);
  box.at = (step) => {
    cursor = step;
    box.redraw();
  };
  return box;
}

function lone(point, { x, y }, kind) {
  return svg("circle", { class: `dot ${kind}`, cx: x(point[0]), cy: y(point[1]), r: 4 });
}

function upright(x, room, kind, text = "") {
  const end = x > room.left + room.width * 0.6 ? "end" : "start";
  return svg("g", { class: kind },
    svg("line", { x1: x, x2: x, y1: room.top, y2: room.top + room.height }),
    text && svg("text", { x: x + (end === "end" ? -6 : 6), y: room.top + 12, "text-anchor": end }, text));
}

/** Which skill at which step, as coloured stretches with their numbers. */
export function skillStrip(skills, label, signal) {
  let cursor = null;
  const box = fitted((width) => {
    const { node, box: room } = sheet(width, 44, { role: "img", "aria-label": label }, { top: 4, bottom: 6 });
    const at = (step) => room.left + (step / skills.length) * room.width;
    for (const { skill, from, to } of stretches(skills)) {
      const wide = at(to) - at(from);
      node.append(svg("rect", { x: at(from), y: room.top, width: Math.max(wide, 0.6), height: room.height, fill: skillColour(skill, isDark()) },
        svg("title", {}, `Skill ${skill}, steps ${from} to ${to - 1}`)));
      if (wide > 22) node.append(svg("text", { class: "on-colour", x: at(from) + wide / 2, y: room.top + 22, "text-anchor": "middle" }, String(skill)));
    }
    if (cursor !== null) node.append(upright(at(cursor), room, "cursor"));
    return node;
  }, { class: "drawing strip" }, signal);
  box.at = (step) => {
    cursor = step;
    box.redraw();
  };
  return box;
}

/** The words beside the lines of a drawing. */
export function key(entries) {
  return el("ul", { class: "key" }, entries.map(([kind, text]) =>
    el("li", {}, svg("svg", { width: 26, height: 10, "aria-hidden": "true" },
      svg("path", { class: `path ${kind}`, d: "M1 5H25" })), text)));
}

export const rewardLine = (values) => ({ points: stepped(values), kind: "real" });

export function lastValue(points) {
  return points.length ? number(points[points.length - 1][1]) : "–";
}
