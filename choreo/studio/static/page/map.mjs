// The map: a point for every skill, with a way round by arrow keys.

import { radius, spoken } from "../logic/atlas.mjs";
import { css, IDLE, inkOn, shareColour } from "../logic/colour.mjs";
import { percent } from "../logic/format.mjs";
import { coreLimits, isPoint, lineThrough, neighbour, plane } from "../logic/scale.mjs";
import { axes, sheet } from "./axes.mjs";
import { el, fitted, svg } from "./dom.mjs";

/**
 * The map of an atlas. `choose(skill)` hears of a click on a point, `pick([x, y])` of one on the
 * ground. The box's `select(skill)` marks a skill, `aim([x, y])` sets the goal's cross, and
 * `dream(path)` draws what is imagined.
 */
export function skillMap({ atlas, selected = null, choose = null, pick = null, label }, signal) {
  const drawn = atlas.skills.filter((found) => isPoint(found.at));
  const state = { selected, goal: null, reached: null, dreamt: [] };
  const uses = drawn.map((found) => found.use);
  const area = coreLimits(drawn.map((found) => found.at), drawn.flatMap((found) => found.path));
  const box = fitted((width) => {
    const height = Math.round(Math.min(Math.max(width * 0.66, 260), 620));
    const { node, box: room } = sheet(width, height, { class: pick ? "map picking" : "map", role: "group", "aria-label": label });
    const scales = plane(area, room);
    const measured = atlas.kind === "coordinates";
    node.append(axes(scales, room, atlas.axes, { ticked: measured }));
    if (pick) node.append(ground(node, room, scales, pick));
    const path = state.reached ?? drawn.find((found) => found.skill === state.selected)?.path ?? [];
    node.append(svg("svg", { ...inner(room) }, trail(path, scales, atlas.round), trail(state.dreamt, scales, atlas.round, "dream")), points(box, drawn, atlas, uses, { ...scales, most: width < 480 ? 10 : 16 }, state, choose));
    if (state.goal) node.append(target(scales.x(state.goal[0]), scales.y(state.goal[1])));
    return node;
  }, { class: "drawing" }, signal);
  box.select = (skill) => {
    const focused = box.contains(document.activeElement);
    state.selected = skill;
    box.redraw();
    if (focused) box.querySelector('[tabindex="0"]')?.focus();
  };
  box.aim = (goal, reached = null) => {
    [state.goal, state.reached] = [goal, reached];
    box.redraw();
  };
  box.dream = (path) => {
    state.dreamt = path;
    box.redraw();
  };
  box.area = area;
  return box;
}

function points(box, drawn, atlas, uses, { x, y, most }, state, choose) {
  const places = drawn.map((found) => found.at);
  const first = Math.max(0, drawn.findIndex((found) => found.skill === state.selected));
  // Large ones first, so that no small point lies hidden beneath.
  const order = drawn.map((_, n) => n).sort((a, b) => (drawn[b].use ?? 0) - (drawn[a].use ?? 0));
  return svg("g", {}, order.map((n) => {
    const found = drawn[n];
    const fill = found.idle ? IDLE : shareColour(found.hit);
    const unknown = found.idle || found.hit === null;
    const size = radius(found.use, uses, 5, most);
    const act = () => choose?.(found.skill);
    const key = (event) => walked(event, box, drawn, places, n, act);
    return svg("g", {
      class: `skill${found.skill === state.selected ? " chosen" : ""}${found.idle ? " idle" : ""}`,
      transform: `translate(${x(found.at[0]).toFixed(1)} ${y(found.at[1]).toFixed(1)})`,
      role: "button",
      tabindex: n === first ? 0 : -1,
      "data-skill": found.skill,
      "aria-pressed": String(found.skill === state.selected),
      "aria-label": spoken(found, atlas.axes, atlas.kind),
      on: { click: act, keydown: key },
    }, svg("title", {}, spoken(found, atlas.axes, atlas.kind)),
    svg("circle", { r: Math.max(size, 12), class: "reach" }),
    svg("circle", { r: size, fill: css(fill), class: unknown ? "body unknown" : "body" }),
    size >= 9 && svg("text", { class: "number", fill: css(inkOn(fill)), "text-anchor": "middle", y: 4 }, String(found.skill)));
  }));
}

const WALKS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];

function walked(event, box, drawn, places, n, act) {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    act();
  } else if (WALKS.includes(event.key)) {
    event.preventDefault();
    const next = drawn[neighbour(places, n, event.key)].skill;
    event.currentTarget.setAttribute("tabindex", -1);
    const node = box.querySelector(`[data-skill="${next}"]`);
    node.setAttribute("tabindex", 0);
    node.focus();
  }
}

/** The part of the sheet within the axes: what is drawn in it is cut off at its edges. */
function inner({ left, top, width, height }) {
  return { x: left, y: top, width, height, viewBox: `${left} ${top} ${width} ${height}` };
}

const trail = (path, { x, y }, round, kind = "real") =>
  svg("path", { class: `path ${kind}`, d: lineThrough(path, x, y, round) });

function ground(node, room, scales, pick) {
  const rect = svg("rect", { class: "ground", x: room.left, y: room.top, width: room.width, height: room.height });
  rect.addEventListener("click", (event) => {
    const frame = node.getBoundingClientRect();
    pick([scales.x.back(event.clientX - frame.left), scales.y.back(event.clientY - frame.top)]);
  });
  return rect;
}

function target(x, y) {
  return svg("g", { class: "target", transform: `translate(${x} ${y})` },
    svg("circle", { r: 9 }), svg("path", { d: "M-14 0h28M0 -14v28" }));
}

/** What colour and size mean. */
export function mapLegend(conditions) {
  const cells = Array.from({ length: 24 }, (_, n) =>
    svg("rect", { x: n * 5, y: 0, width: 5.5, height: 10, fill: css(shareColour(n / 23)) }));
  return el("div", { class: "legend" },
    el("span", {}, `${percent(0)}`), svg("svg", { width: 120, height: 10, "aria-hidden": "true" }, cells),
    el("span", {}, `${percent(1)} hit rate`),
    el("span", {}, dots([4, 7, 10], null), "larger: used more"),
    el("span", {}, dots([6], css(IDLE), "body unknown"), "grey, dashed: an idle code, or not measured"), conditions);
}

function dots(sizes, fill, kind = "body") {
  const wide = sizes.reduce((sum, size) => sum + 2 * size + 4, 0);
  let at = 0;
  const parts = sizes.map((size) => {
    at += size;
    const node = svg("circle", { cx: at + 1, cy: 11, r: size, fill: fill ?? "none", class: kind });
    at += size + 4;
    return node;
  });
  return svg("svg", { width: wide, height: 22, "aria-hidden": "true" }, parts);
}
