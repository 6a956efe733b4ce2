// Axes of a drawing: lines behind the data, ticks and names.

import { readable, tick } from "../logic/format.mjs";
import { ticks } from "../logic/scale.mjs";
import { svg } from "./dom.mjs";

/** Grid and ticks of a plane in a box; `names` are [x, y], either may be null. */
export function axes({ x, y, area }, box, names, { ticked = true, many = 5 } = {}) {
  const parts = [];
  const bottom = box.top + box.height;
  if (ticked) {
    for (const value of ticks(area.x0, area.x1, Math.max(2, Math.min(many, box.width / 80)))) {
      const at = x(value).toFixed(1);
      parts.push(svg("line", { class: "grid", x1: at, x2: at, y1: box.top, y2: bottom }));
      parts.push(svg("text", { class: "tick", x: at, y: bottom + 15, "text-anchor": "middle" }, tick(value)));
    }
    for (const value of ticks(area.y0, area.y1, Math.max(2, Math.min(many, box.height / 45)))) {
      const at = y(value).toFixed(1);
      parts.push(svg("line", { class: "grid", x1: box.left, x2: box.left + box.width, y1: at, y2: at }));
      parts.push(svg("text", { class: "tick", x: box.left - 6, y: Number(at) + 4, "text-anchor": "end" }, tick(value)));
    }
  }
  return svg("g", { "aria-hidden": "true" }, parts, named(box, names));
}

function named(box, [across, up]) {
  const middle = box.left + box.width / 2;
  const high = box.top + box.height / 2;
  const turned = `rotate(-90 12 ${high})`;
  return [
    across && svg("text", { class: "axis", x: middle, y: box.top + box.height + 32, "text-anchor": "middle" }, readable(across)),
    up && svg("text", { class: "axis", x: 12, y: high, "text-anchor": "middle", transform: turned }, readable(up)),
  ];
}

/** An SVG of a width and height in pixels, with the box that its data gets. */
export function sheet(width, height, given = {}, room = {}) {
  const { left = 52, right = 12, top = 12, bottom = 38 } = room;
  const box = { left, top, width: Math.max(width - left - right, 40), height: height - top - bottom };
  const node = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, ...given });
  return { node, box };
}
