// Real and dream: one skill from one start, in the simulator and in imagination.

import { byHit, bySkill } from "../../logic/atlas.mjs";
import { number } from "../../logic/format.mjs";
import { leavesSentence, mean, stepped } from "../../logic/series.mjs";
import { renewable, work, workPath } from "../api.mjs";
import { key, lineChart, pathPlot } from "../charts.mjs";
import { loadSkills } from "../data.mjs";
import { button, el, field, numberInput, select } from "../dom.mjs";
import { film, together } from "../film.mjs";
import { control, note, section, showing } from "../notes.mjs";

const STEPS = 100;

export function dreamView(ctx) {
  const node = el("div", { class: "view" });
  if (!ctx.run.simulates) {
    node.append(note("There is no simulator beside this run, so nothing real to compare with.",
      "Imagine a score in Choreograph, or install the environment that the run was made in."));
    return node;
  }
  node.append(...control(ctx));
  const load = (tell) => loadSkills(ctx.run, ctx.condition, ctx.signal, tell);
  const place = el("div", { class: "view" });
  node.append(place);
  showing(place, "Looking at the skills", load, (atlas) => bench(ctx, atlas));
  return node;
}

function bench(ctx, atlas) {
  const start = bySkill(atlas, ctx.skill) ? ctx.skill : (byHit(atlas)[0]?.skill ?? 0);
  const asked = { skill: start, seed: 0, steps: STEPS };
  const shown = el("div", { class: "stack", id: "compared" });
  const next = renewable(ctx.signal);
  const run = () => {
    const signal = next();
    ctx.go({ skill: asked.skill });
    const path = workPath(ctx, "compare");
    showing(shown, `Playing and dreaming skill ${asked.skill}`,
      (tell) => work(path, { ...asked }, signal, tell), (result) => compared({ ...ctx, signal }, atlas, asked, result));
  };
  const skills = byHit(atlas).map(({ skill, idle }) => [skill, `Skill ${skill}${idle ? " (idle)" : ""}`]);
  const form = el("div", { class: "form" },
    field("Skill", select(skills, asked.skill, (value) => { asked.skill = Number(value); run(); })),
    field("Start", numberInput(0, 0, 2 ** 31 - 1, (value) => (asked.seed = value)), "a seed: the same start each time"),
    field("Steps", numberInput(STEPS, 1, 1000, (value) => (asked.steps = value))),
    button("Compare", run, { "data-do": "compare" }));
  run();
  return [
    section("Real and dream, side by side",
      "The same skill from the same start, once in the simulator and once in the agent's imagination, which sees the start and nothing after.",
      form),
    shown,
  ];
}

function compared(ctx, atlas, asked, result) {
  const { real, dream } = result;
  const names = result.axes ?? atlas.axes;
  const leaves = result.leaves ?? null;
  const steps = Math.max((result.error?.length ?? 0) - 1, 1);
  const told = leavesSentence(leaves, steps, mean(result.error ?? []));
  const paths = pathPlot({
    names, round: result.round, label: `Real and dreamed path of skill ${asked.skill}. ${told}`,
    paths: [{ points: real.path ?? [], kind: "real" }, { points: dream.path ?? [], kind: "dream" }],
  }, ctx.signal);
  const strip = errors(ctx, result, leaves, told);
  const follow = el("input", { type: "range", min: 0, max: steps, value: 0, "aria-label": "Step" });
  const now = el("output", {}, "step 0");
  const move = (step) => {
    follow.value = step;
    now.textContent = `step ${step}`;
    paths.at(step);
    strip.at?.(step);
  };
  const pictures = films(ctx, asked, result);
  together([pictures], follow, steps + 1, move);
  const drawn = hasPath(real, dream) ? [paths, key([["real", "real"], ["dream", "dream"]])] : note("No paths: this agent names no coordinates.");
  return [
    el("div", { class: "two wide" }, pictures, section("Path and ghost", pathMeaning(result), drawn)),
    section("Where does the dream leave reality?", `${told} Move the slider: films, path and strip show the same step.`,
      strip, el("div", { class: "bar" }, follow, now),
      key([["real", "error of the dream"], ["lazy", "error of a lazy guess: nothing changes"]]), summary(result)),
  ];
}

function pathMeaning({ kind }) {
  const axes = kind === "embedding" ? " The axes sum up all that is observed and carry no unit." : "";
  return `Line: where the body went. Dashed ghost: where the dream says it is.${axes}`;
}

const hasPath = (real, dream) => Boolean(real.path?.length || dream.path?.length);

function films(ctx, asked, { real, dream }) {
  const sources = [["Real", real.films ?? real.film], ["Dream", dream.film ?? dream.films]];
  const parts = sources.map(([name, url]) => el("figure", {},
    url && ctx.run.renders ? film(url, `${name}: skill ${asked.skill}`, ctx.signal) : note(unfilmed(name, ctx.run)), el("figcaption", {}, name)));
  const dreamt = ctx.run.obs === "states" ? "the state that the model imagines, drawn by the simulator" : "the picture that the model imagines";
  const meaning = `First the simulator's own picture, then ${dreamt}.`;
  return section("Films", meaning, el("div", { class: "two" }, parts));
}

function unfilmed(name, run) {
  if (!run.renders) return "No film: pictures cannot be drawn here.";
  return name === "Dream" ? "No film of the dream: decoded states are drawn as the ghost below." : "No film was made.";
}

function errors(ctx, { error = [], lazy = [] }, leaves, told) {
  if (!error.length) return note("No errors were measured.");
  const mark = leaves === null ? null : { at: leaves, text: `leaves at ${leaves}` };
  return lineChart({
    lines: [{ points: stepped(lazy), kind: "lazy" }, { points: stepped(error), kind: "real" }],
    names: ["step", "error"], label: told, mark, zero: true,
  }, ctx.signal);
}

function summary({ error = [], lazy = [] }) {
  return el("p", { class: "meaning" }, `On average the dream is off by ${number(mean(error))}, the lazy guess by ${number(mean(lazy))} (1 is as bad as always guessing the mean).`);
}
