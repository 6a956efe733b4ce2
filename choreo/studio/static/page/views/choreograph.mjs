// Choreography: skills on a line, imagined at once, performed live, saved and exported.

import { byHit, bySkill } from "../../logic/atlas.mjs";
import { number, percent, plural } from "../../logic/format.mjs";
import { add, emptyScore, fromText, keySkills, setLoop, setSeed, totalSteps, toText } from "../../logic/score.mjs";
import { running } from "../../logic/series.mjs";
import { attempt, renewable, work, workPath } from "../api.mjs";
import { lineChart, liveTrail, pathPlot, rewardLine, skillStrip } from "../charts.mjs";
import { loadSkills, scoreOf } from "../data.mjs";
import { announce, button, el, field, numberInput, put } from "../dom.mjs";
import { film } from "../film.mjs";
import { drag, line, SKILL } from "../line.mjs";
import { control, failed, note, section, showing } from "../notes.mjs";
import { stage } from "../stage.mjs";
import { areaOf, sketch, thumb } from "../wall.mjs";

export function choreographView(ctx) {
  const node = el("div", { class: "view" });
  node.append(...control(ctx));
  const load = (tell) => loadSkills(ctx.run, ctx.condition, ctx.signal, tell);
  const place = el("div", { class: "view" });
  node.append(place);
  showing(place, "Looking at the skills", load, (atlas) => studio(ctx, atlas));
  return node;
}

function studio(ctx, atlas) {
  const book = scoreOf(ctx.run);
  const trouble = el("div", {});
  const tellTrouble = (problem) => put(trouble, problem && failed(problem));
  const editor = line(book, (skill) => small(atlas, skill), ctx.signal, tellTrouble);
  const shown = el("div", { class: "stack" });
  const best = byHit(atlas).filter((found) => !found.idle).map((found) => found.skill);
  const player = ctx.run.simulates ? performer(ctx, atlas, book, editor, best) : null;
  return [
    section("Skills", "Click or drag a skill onto the line; best hit rate first.", palette(ctx, atlas, editor)),
    section("The line",
      "From left to right, each skill for its steps (one step is one decision of the agent). Keys on a card: arrows go on, Shift with arrows moves, + and − change the steps, d repeats, Delete removes.",
      editor, settings(ctx, book, editor), tools(ctx, book, editor, shown, tellTrouble), trouble),
    el("div", { class: "two wide" },
      section("Imagine", "What would come of it, as the agent dreams it: made without the simulator.", imagining(ctx, book), shown),
      section("Perform", "The same score, live in the simulator. Number keys or a click switch the skill at once.",
        player ?? note("There is no simulator beside this run.", "Imagine works; install the environment to perform."))),
  ];
}

function small(atlas, skill) {
  const found = bySkill(atlas, skill);
  return found?.path.length ? sketch(found, areaOf(atlas), atlas.round) : null;
}

function palette(ctx, atlas, editor) {
  const area = areaOf(atlas);
  const tile = (found) => el("li", {}, el("button", {
    type: "button", class: "tile", draggable: "true", "data-skill": found.skill, "aria-label": `Add skill ${found.skill}`,
    on: {
      click: () => {
        editor.edit((score) => add(score, found.skill));
        announce(`Skill ${found.skill} added.`);
      },
      dragstart: (event) => drag(event, SKILL, found.skill),
    },
  }, thumb(ctx, atlas, found, area), el("span", { class: "caption" }, el("b", {}, String(found.skill)),
    el("span", {}, found.idle ? "idle" : found.hit === null ? "" : percent(found.hit)))));
  return el("ul", { class: "wall palette", tabindex: 0, "aria-label": "Skills to add, scrolls" }, byHit(atlas).map(tile));
}

function settings(ctx, book, editor) {
  const loop = numberInput(1, 1, 1000, (value) => editor.edit((score) => setLoop(score, value)));
  const seed = numberInput(0, 0, 2 ** 31 - 1, (value) => editor.edit((score) => setSeed(score, value)));
  const total = el("output", {});
  const draw = (score) => {
    [loop.value, seed.value] = [score.loop, score.seed];
    total.textContent = `${plural(score.moves.length, "move")}, ${plural(totalSteps(score), "step")} in all`;
  };
  book.follow(draw, ctx.signal);
  draw(book.score);
  return el("div", { class: "form" }, field("Loop", loop, "rounds"), field("Start", seed, "a seed: the same start each time"), total);
}

function tools(ctx, book, editor, shown, trouble) {
  const chosen = el("input", { type: "file", accept: ".json,application/json", class: "unseen", "aria-label": "Load a score" });
  chosen.addEventListener("change", () => attempt(async () => {
    const score = fromText(await chosen.files[0].text(), ctx.run.skills);
    chosen.value = "";
    editor.edit(() => score);
    announce(`Loaded ${plural(score.moves.length, "move")}.`);
    if (score.checkpoint && ctx.run.opened && score.checkpoint !== ctx.run.opened) {
      trouble({ message: "This score was made with another checkpoint.", advice: "It plays, and may look different." });
    }
  }, trouble));
  const exported = el("span", {});
  const send = (format) => exporting(ctx, book, format, exported);
  return el("div", { class: "bar" },
    button("Save", () => save(ctx, book), { class: "quiet", "data-do": "save" }),
    button("Load", () => chosen.click(), { class: "quiet" }), chosen,
    ctx.run.renders && ctx.run.simulates && [
      button("Export mp4", () => send("mp4"), { class: "quiet", "data-do": "mp4" }),
      button("Export GIF", () => send("gif"), { class: "quiet", "data-do": "gif" })],
    button("Clear", () => editor.edit((score) => emptyScore(score.checkpoint, score.seed)), { class: "quiet" }), exported);
}

function save(ctx, book) {
  const score = { ...book.score, checkpoint: book.score.checkpoint || ctx.run.opened || "" };
  download(URL.createObjectURL(new Blob([toText(score)], { type: "application/json" })), "score.json");
}

function download(href, name) {
  const link = el("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  if (href.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

function exporting(ctx, book, format, place) {
  if (book.score.moves.length === 0) {
    put(place, note("There is nothing to film.", "Put a skill on the line first."));
    return;
  }
  const body = { score: book.score, format };
  const make = (tell) => work(workPath(ctx, "film"), body, ctx.signal, tell);
  showing(place, `Making the ${format}`, make, ({ url }) => {
    download(url, `score.${format}`);
    return el("a", { href: url, download: `score.${format}` }, `Save the ${format} again`);
  });
}

function imagining(ctx, book) {
  const place = el("div", { class: "stack", id: "imagined" }, note("Nothing imagined yet."));
  const next = renewable(ctx.signal);
  const imagine = () => {
    if (book.score.moves.length === 0) {
      put(place, note("There is nothing to imagine.", "Put a skill on the line first."));
      return;
    }
    const signal = next();
    const body = { score: book.score };
    showing(place, "Imagining", (tell) => work(workPath(ctx, "imagine"), body, signal, tell), (result) => imagined(ctx.run, result, signal));
  };
  return [el("div", { class: "bar" }, button("Imagine", imagine, { "data-do": "imagine" })), place];
}

function imagined(run, result, signal) {
  const { skills, reward = null, film: url = null, round } = result;
  const [path, names] = [result.path ?? [], result.axes ?? ["x", "y"]];
  const words = skills ? `Imagined path over ${plural(skills.length, "step")}` : "Imagined path of random actions";
  const sums = reward && running(reward);
  return [
    url && run.renders && film(url, "Film of what was imagined", signal),
    path.length ? pathPlot({ paths: [{ points: path, kind: "dream", skills }], names, round, label: words }, signal) : note("No path: what the agent dreams does not tell where the body is on the map."),
    skills && skillStrip(skills, `Skills over ${plural(skills.length, "step")}`, signal),
    sums && el("p", { class: "meaning" }, `Imagined return: ${number(sums[sums.length - 1])}.`),
    sums && lineChart({ lines: [rewardLine(reward)], names: ["step", "imagined reward"], label: "Imagined reward per step", zero: true }, signal),
  ];
}

function performer(ctx, atlas, book, editor, best) {
  const around = atlas.skills.flatMap((found) => found.path);
  const trail = liveTrail({ names: atlas.axes, round: atlas.round, around, label: "Path of the performance so far" }, ctx.signal);
  const told = (state) => {
    editor.at(state.step);
    trail.follow(state.path);
  };
  const player = stage(ctx, { score: () => book.score, skills: () => keySkills(book.score, best), told });
  book.follow(() => player.renewKeys(), ctx.signal);
  return [player, around.length > 0 && trail];
}
