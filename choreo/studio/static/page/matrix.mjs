// The matrix: how well skill j does when it starts where skill i ended.

import { css, inkOn, shareColour } from "../logic/colour.mjs";
import { percent } from "../logic/format.mjs";
import { el } from "./dom.mjs";
import { note } from "./notes.mjs";

export function matrix(switching, choose) {
  if (!switching?.skills?.length) {
    return note("Not measured.", "It needs a simulator, and two skills that are in use.");
  }
  const { skills, mean, chance } = switching;
  const hits = switching.hits ?? switching.after;
  const said = el("p", { class: "reading", "aria-live": "polite" }, reading(mean, chance));
  const cell = (i, j) => value(hits[i][j], skills[i], skills[j], said, choose);
  return el("div", {}, said, el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Matrix, scrolls sideways" },
    el("table", { class: "matrix" },
      el("caption", { class: "unseen" }, "Hit rate of the column's skill when it starts where the row's skill ended"),
      el("thead", {}, el("tr", {}, el("td", {}, el("small", {}, "after ↓ then →")), skills.map((skill) => el("th", { scope: "col" }, String(skill))))),
      el("tbody", {}, skills.map((skill, i) =>
        el("tr", {}, el("th", { scope: "row" }, String(skill)), skills.map((_, j) => cell(i, j))))))));
}

function reading(mean, chance) {
  const own = `On average a skill is at its own code in ${percent(mean)} of the steps after another one`;
  return `${own}; chance is ${percent(chance)}.`;
}

function value(hit, before, skill, said, choose) {
  const known = Number.isFinite(hit);
  const fill = shareColour(hit);
  const words = `Skill ${skill} after ${before}: ${known ? percent(hit) : "not measured"}`;
  const tell = () => (said.textContent = `${words}.`);
  const ground = known ? css(fill) : "transparent";
  return el("td", {
    title: words, css: { background: ground, color: known ? css(inkOn(fill)) : "inherit" },
    on: { mouseenter: tell, click: () => choose(skill) },
  }, known ? String(Math.round(100 * hit)) : "·");
}
