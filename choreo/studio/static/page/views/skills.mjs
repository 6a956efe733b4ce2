// All skills at a glance: findings, map, wall, the chosen one, who can follow whom.

import { byHit, bySkill } from "../../logic/atlas.mjs";
import { count, percent, readable } from "../../logic/format.mjs";
import { loadMap } from "../data.mjs";
import { detail } from "../detail.mjs";
import { el, put } from "../dom.mjs";
import { mapLegend, skillMap } from "../map.mjs";
import { matrix } from "../matrix.mjs";
import { note, section, showing } from "../notes.mjs";
import { wall } from "../wall.mjs";

const SHOWN = 3; // findings that are seen at once

export function skillsView(ctx) {
  const node = el("div", { class: "view" });
  const load = (tell) => loadMap(ctx.run, ctx.condition, ctx.signal, tell);
  showing(node, "Playing every skill to draw the map; the first time takes a while", load,
    (found) => (found.map ? whole(ctx, found) : note("There is no map of this run.", found.why_not ?? "")));
  return node;
}

function whole(ctx, found) {
  const { atlas } = found;
  const first = bySkill(atlas, ctx.skill) ? ctx.skill : (byHit(atlas)[0]?.skill ?? null);
  const words = `Map of ${atlas.skills.length} skills; arrow keys go from one to the next`;
  const choose = (skill) => {
    map.select(skill);
    films.select(skill);
    panel.show(skill);
    ctx.go({ skill });
  };
  const map = skillMap({ atlas, selected: first, choose, label: words }, ctx.signal);
  const films = wall(ctx, atlas, first, choose);
  const panel = detail(ctx, atlas, choose);
  panel.show(first);
  return [
    findings(found, ctx),
    el("div", { class: "with-panel" },
      section("Map", mapMeaning(atlas), map, mapLegend()),
      panel,
      section("Wall", wallMeaning(ctx), films)),
    section("Skill after skill",
      "Can this agent switch? Each cell is the hit rate, in percent, of the column's skill when it starts where the row's skill ended.",
      matrix(found.switching, choose)),
  ];
}

function mapMeaning(atlas) {
  if (atlas.kind === "coordinates") {
    return `Where every skill ends up, on average, in ${atlas.axes.map(readable).join(" and ")}. The line is one path of the chosen one, from one start, so it may end elsewhere.`;
  }
  return "Skills that end in similar states stand near each other; the axes themselves carry no unit.";
}

function wallMeaning(ctx) {
  return ctx.run.renders
    ? "One film per skill, from one start. Under it: its number and how often it is at its own code."
    : "One path per skill, as there are no pictures here. Under it: its number and how often it is at its own code.";
}

function findings(found, ctx) {
  const sentences = (found.verdicts ?? []).map((text) => el("li", {}, text));
  const intro = "The agent explored without any reward and sorted what it saw into codes. For each code it learned a skill: a way to get to the states of that code, and to stay there.";
  const what = el("p", { class: "meaning" }, intro, " ", controls(ctx));
  const list = el("ul", { class: "verdicts" }, sentences.slice(0, SHOWN));
  const more = sentences.length > SHOWN && el("details", {}, el("summary", {}, `${sentences.length - SHOWN} more findings`),
    el("ul", { class: "verdicts" }, sentences.slice(SHOWN)));
  return section("What has it learned?", null, what, list, more, coverage(found.coverage));
}

function controls(ctx) {
  if (ctx.condition === "trained") return "Switch to Untrained or Random above to see what the same body does without having learned.";
  return "You look at a control now: what it reaches, the agent did not learn.";
}

const WORDS = { trained: "trained skills", untrained: "untrained networks", random: "random actions" };

/** Cells that each condition visits, as bars. */
function coverage(found) {
  const cells = Object.entries(WORDS).map(([name, text]) => [name, text, cellsOf(found?.[name])]);
  const most = Math.max(...cells.map(([, , value]) => value ?? 0));
  if (!(most > 0)) return null;
  return el("div", { class: "bars" }, el("p", { class: "meaning" }, "Cells of the state space visited by"),
    cells.map(([name, text, value]) => Number.isFinite(value) && el("div", { class: `bar-row ${name}` },
      el("span", {}, text), put(el("span", { class: "bar-ground" }), el("span", { class: "bar-fill", css: { width: percent(value / most) } })),
      el("b", {}, count(value)))));
}

const cellsOf = (found) => (Number.isFinite(found) ? found : (found?.visited ?? found?.cells ?? null));
