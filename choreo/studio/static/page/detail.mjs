// One skill: film, path, figures, relatives, and what can be done with it.

import { bySkill, figures } from "../logic/atlas.mjs";
import { readable } from "../logic/format.mjs";
import { add } from "../logic/score.mjs";
import { renewable } from "./api.mjs";
import { pathPlot } from "./charts.mjs";
import { scoreOf } from "./data.mjs";
import { announce, button, el, put } from "./dom.mjs";
import { film, filmPath } from "./film.mjs";
import { note } from "./notes.mjs";

/** The panel of a skill; its `show(skill)` changes to another. */
export function detail(ctx, atlas, choose) {
  const node = el("aside", { class: "card detail", "aria-label": "The chosen skill" });
  const next = renewable(ctx.signal);
  node.show = (skill) => put(node, parts({ ...ctx, signal: next() }, atlas, bySkill(atlas, skill), choose));
  return node;
}

function parts(ctx, atlas, found, choose) {
  if (!found) {
    return [el("h2", {}, "No skill chosen"), note("Choose one on the map or on the wall.", "Its film, path and figures show up here.")];
  }
  return [
    el("h2", {}, `Skill ${found.skill}`),
    found.idle && note("An idle code: no recorded state carries it, so its skill was hardly practised."),
    ctx.run.renders && film(filmPath(ctx.run, ctx.condition, found.skill, "mp4"), `Film of skill ${found.skill}`, ctx.signal),
    actions(ctx, found),
    el("h3", {}, "Path"),
    pathOf(ctx, atlas, found),
    el("h3", {}, "Figures"),
    table(found),
    el("h3", {}, "Nearest relatives"),
    relatives(found, choose),
  ];
}

function actions(ctx, found) {
  const put = () => {
    const book = scoreOf(ctx.run);
    book.set(add(book.score, found.skill));
    announce(`Skill ${found.skill} added to the score, at place ${book.score.moves.length}.`);
    added.textContent = `In the score: ${book.score.moves.length}`;
  };
  const added = button("Add to the score", put, { "data-do": "add" });
  const dream = button("Real and dream", () => ctx.go({ view: "dream", skill: found.skill }), { class: "quiet" });
  const address = filmPath(ctx.run, ctx.condition, found.skill, "mp4");
  const save = ctx.run.renders && el("a", { class: "button quiet", href: address, download: `skill-${found.skill}.mp4` }, "Save the film");
  return el("div", { class: "bar" }, added, dream, save);
}

function pathOf(ctx, atlas, found) {
  if (found.path.length === 0) return note("No path: this agent names no coordinates.");
  const others = atlas.skills.filter((each) => each.skill !== found.skill && each.path.length);
  const paths = [...others.map((each) => ({ points: each.path, kind: "faint" })), { points: found.path, kind: "real" }];
  const words = `Path of skill ${found.skill} over ${atlas.axes.map(readable).join(" and ")}, other skills in grey`;
  return pathPlot({ paths, names: atlas.axes, label: words, round: atlas.round }, ctx.signal);
}

function table(found) {
  const rows = figures(found);
  if (rows.length === 0) return note("No figures were measured.");
  return el("dl", { class: "figures" }, rows.map(({ label, value, meaning }) =>
    el("div", {}, el("dt", {}, label), el("dd", {}, value), el("dd", { class: "meaning" }, meaning))));
}

function relatives(found, choose) {
  if (found.relatives.length === 0) return note("None known.");
  return el("div", { class: "bar" }, found.relatives.map((skill) =>
    button(`Skill ${skill}`, () => choose(skill), { class: "quiet" })));
}
