// The wall: a small film of every skill, or its path where there are no pictures.

import { byHit } from "../logic/atlas.mjs";
import { css, IDLE, shareColour } from "../logic/colour.mjs";
import { percent } from "../logic/format.mjs";
import { coreLimits, lineThrough, plane } from "../logic/scale.mjs";
import { el, put, select, svg } from "./dom.mjs";
import { film, filmPath, stillness } from "./film.mjs";

const ORDERS = [["number", "by number"], ["hit", "by hit rate"], ["use", "by use"]];

/** The picture of a skill in a tile: its film, or its path. */
export function thumb(ctx, atlas, found, area) {
  if (ctx.run.renders) {
    const alt = `Film of skill ${found.skill}, ${ctx.condition}`;
    return film(filmPath(ctx.run, ctx.condition, found.skill, "webp"), alt, ctx.signal);
  }
  return el("div", { class: "film drawn" }, sketch(found, area, atlas.round));
}

export function sketch(found, area, round) {
  const room = { left: 6, top: 6, width: 84, height: 84 };
  const { x, y } = plane(area, room);
  const end = found.path[found.path.length - 1] ?? found.at;
  const drawable = Number.isFinite(end[0]) && Number.isFinite(end[1]);
  return svg("svg", { viewBox: "0 0 96 96", "aria-hidden": "true" },
    svg("path", { class: "path real", d: lineThrough(found.path, x, y, round) }),
    drawable && svg("circle", { class: "dot real", cx: x(end[0]), cy: y(end[1]), r: 4 }));
}

export const areaOf = (atlas) =>
  coreLimits(atlas.skills.map((found) => found.at), atlas.skills.flatMap((found) => found.path));

/** All tiles; `choose(skill)` hears of a click. The node's `select(skill)` marks one. */
export function wall(ctx, atlas, chosen, choose) {
  const area = areaOf(atlas);
  const list = el("ul", { class: "wall" });
  const tiles = new Map(atlas.skills.map((found) => [found.skill, tile(ctx, atlas, found, area, choose)]));
  const order = (by) => put(list, ordered(atlas, by).map((found) => tiles.get(found.skill)));
  order("number");
  const bar = el("div", { class: "bar" }, el("label", {}, "Order ", select(ORDERS, "number", order)),
    ctx.run.renders && still());
  const node = el("div", {}, bar, list);
  node.select = (skill) => tiles.forEach((each, own) =>
    each.firstChild.setAttribute("aria-pressed", String(own === skill)));
  node.select(chosen);
  return node;
}

function ordered(atlas, by) {
  if (by === "hit") return byHit(atlas);
  if (by === "use") return [...atlas.skills].sort((a, b) => (b.use ?? 0) - (a.use ?? 0));
  return atlas.skills;
}

function tile(ctx, atlas, found, area, choose) {
  const rate = found.idle ? "idle" : found.hit === null ? "" : percent(found.hit);
  const chip = el("i", { class: "chip", css: { background: css(found.idle ? IDLE : shareColour(found.hit)) } });
  return el("li", {}, el("button", {
    type: "button", class: "tile", "data-skill": found.skill,
    on: { click: () => choose(found.skill) },
  }, thumb(ctx, atlas, found, area), el("span", { class: "caption" }, chip, el("b", {}, String(found.skill)), el("span", {}, rate))));
}

function still() {
  const box = el("input", { type: "checkbox", checked: stillness.on });
  box.addEventListener("change", () => stillness.set(box.checked));
  return el("label", { class: "check" }, box, "Still pictures");
}
