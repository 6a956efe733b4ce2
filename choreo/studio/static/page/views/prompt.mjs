// Prompt: a goal, every skill scored in imagination, the best performed.

import { bySkill } from "../../logic/atlas.mjs";
import { number, place, readable } from "../../logic/format.mjs";
import { bars, missedBy, missedSentence, ranked } from "../../logic/ranking.mjs";
import { isPoint, settledAt } from "../../logic/scale.mjs";
import { add, emptyScore } from "../../logic/score.mjs";
import { get, post, finish, renewable, runPath, workPath } from "../api.mjs";
import { loadSkills, scoreOf } from "../data.mjs";
import { announce, button, choice, el, field, put, select } from "../dom.mjs";
import { film } from "../film.mjs";
import { mapLegend, skillMap } from "../map.mjs";
import { control, note, section, showing } from "../notes.mjs";
import { stage } from "../stage.mjs";
import { areaOf } from "../wall.mjs";

const KINDS = [["point", "A place"], ["frame", "A recorded frame"], ["picture", "A picture"], ["reward", "A reward"]];
const STEPS = 150; // of the performance of a ranked skill
const MOST = 12; // ranked skills that are listed

export function promptView(ctx) {
  const node = el("div", { class: "view" });
  node.append(...control(ctx));
  const load = (tell) => loadSkills(ctx.run, ctx.condition, ctx.signal, tell);
  const place = el("div", { class: "view" });
  node.append(place);
  showing(place, "Looking at the skills", load, (atlas) => desk(ctx, atlas));
  return node;
}

function desk(ctx, atlas) {
  const self = { ctx, atlas, next: renewable(ctx.signal), goal: null };
  self.asked = el("div", { class: "stack" });
  self.answer = el("div", { class: "stack", id: "ranking" }, note("No goal yet.", "Choose one, and every skill is ranked by how near imagination finds it comes."));
  const kind = choice("Kind of goal", KINDS, "point", (value) => show(self, value));
  show(self, "point");
  return el("div", { class: "two wide" },
    section("What do you want?", "Choose a goal. Each skill is played in imagination and judged by it; nothing moves yet.", kind, self.asked),
    section("Which skills come nearest?", "Best first. The number is the imagined return for a reward, and minus the imagined distance for any other goal. The bar goes from the worst skill to the best.", self.answer));
}

function show(self, kind) {
  const parts = { point: pointGoal, frame: frameGoal, picture: pictureGoal, reward: rewardGoal };
  put(self.asked, parts[kind](self));
}

function ask(self, body, words, goal = null) {
  const { ctx } = self;
  self.goal = goal;
  self.map?.dream([]);
  const signal = self.next();
  const send = async (tell) => finish(await post(workPath(ctx, "prompt"), body, signal), signal, tell);
  showing(self.answer, `Ranking the skills for ${words}`, send, (result) => answer(self, result, words, signal));
}

function pointGoal(self) {
  const { atlas, ctx } = self;
  if (!atlas.skills.some((found) => isPoint(found.at))) {
    return note("This run has no map to aim at.", "Choose a recorded frame, a picture or a reward.");
  }
  const fields = atlas.axes.map((name) => el("input", { type: "number", step: "any", "aria-label": readable(name), value: "0" }));
  const aim = (goal) => {
    self.map.aim(goal);
    fields.forEach((each, n) => (each.value = Number(goal[n].toPrecision(4))));
    ask(self, { kind: "point", x: goal[0], y: goal[1] }, place(goal, atlas.axes), goal);
  };
  const near = (goal) => aim(settledAt(goal, areaOf(atlas)));
  const choose = (skill) => near(bySkill(atlas, skill).at);
  self.map = skillMap({ atlas, choose, pick: near, label: "Map to aim at; choose a place or a skill's end" }, ctx.signal);
  const go = () => aim(fields.map((each) => Number(each.value)));
  return [el("p", { class: "meaning" }, "Click where the body should end up, or write it down. Dashed: the path that the best skill is imagined to take, where the dream tells it."), self.map, mapLegend(),
    el("div", { class: "form" }, atlas.axes.map((name, n) => field(readable(name), fields[n])), button("Go there", go, { "data-do": "aim" }))];
}

function frameGoal(self) {
  const box = el("div", {});
  showing(box, "Reading recorded frames", () => get(runPath(self.ctx.run, "frames"), self.ctx.signal), (found) => {
    if (!found.frames?.length) return note(found.why_not ?? "This run holds no recorded frames.", "Choose another kind of goal.");
    const tile = (each) => el("li", {}, el("button", {
      type: "button", class: "tile", "data-frame": each.frame,
      on: { click: () => ask(self, { kind: "frame", frame: each.frame }, each.label ?? `frame ${each.frame}`) },
    }, each.picture && film(each.picture, `Recorded frame ${each.frame}`, self.ctx.signal), el("span", { class: "caption" }, each.label ?? String(each.frame))));
    return [el("p", { class: "meaning" }, "States that the agent met while it explored. Choose one to get back to."), el("ul", { class: "wall" }, found.frames.map(tile))];
  });
  return box;
}

const TAKEN = ["image/png", "image/jpeg", "image/webp"];
const MOST_BYTES = 4 * 2 ** 20;

function pictureGoal(self) {
  const input = el("input", { type: "file", accept: TAKEN.join(), "aria-label": "Picture to look like" });
  const preview = el("div", {});
  const next = renewable(self.ctx.signal);
  input.addEventListener("change", () => {
    const [file] = input.files;
    if (!file) return;
    if (!TAKEN.includes(file.type) || file.size > MOST_BYTES) {
      put(preview, note("This file is not taken.", "Choose a PNG, JPEG or WebP of at most 4 MB."));
      return;
    }
    const source = URL.createObjectURL(file);
    next().addEventListener("abort", () => URL.revokeObjectURL(source));
    put(preview, el("img", { src: source, alt: "The chosen picture", class: "preview" }));
    ask(self, file, "the picture");
  });
  return [el("p", { class: "meaning" }, "A picture of what the end should look like, as the agent's own camera would see it."), input, preview];
}

function rewardGoal(self) {
  const box = el("div", {});
  showing(box, "Reading the rewards", () => get(runPath(self.ctx.run, "rewards"), self.ctx.signal), (found) => {
    if (!found.rewards?.length) return note(found.why_not ?? "No reward function is known for this environment.", "Choose another kind of goal.");
    const about = el("p", { class: "meaning" });
    const names = found.rewards.map(({ name }) => [name, readable(name)]);
    const tell = (name) => (about.textContent = found.rewards.find((each) => each.name === name)?.about ?? "");
    const pick = select(names, names[0][0], tell);
    tell(names[0][0]);
    return [field("Reward", pick), about, button("Rank by it", () => ask(self, { kind: "reward", name: pick.value }, readable(pick.value)), { "data-do": "reward" })];
  });
  return box;
}

function answer(self, result, words, signal) {
  const best = ranked(result.ranking ?? []);
  if (best.length === 0) return note("No skill could be ranked.", "Choose another goal.");
  const lengths = bars(best);
  const player = self.ctx.run.simulates ? outcome(self, { ...self.ctx, signal }, best) : null;
  const rows = best.slice(0, MOST).map((entry, n) => row(self, entry, lengths[n], player));
  if (self.goal) self.map.dream(best[0].path ?? []);
  announce(`Skill ${best[0].skill} comes nearest.`);
  return [
    el("p", { class: "reading" }, `Ranked for ${words}.`),
    player ? performing(best[0].skill, player) : note("There is no simulator to perform in."),
    el("ol", { class: "ranking" }, rows),
    best.length > MOST && el("p", { class: "meaning" }, `And ${best.length - MOST} more.`),
    result.film && el("figure", {}, film(result.film, "The best skill, imagined", signal), el("figcaption", {}, "The best skill, imagined")),
  ];
}

function performing(best, player) {
  const act = () => player.play(best);
  return [el("div", { class: "bar" }, button(`Perform the best: skill ${best}`, act, { "data-do": "best" })), player.node];
}

function row(self, { skill, score, distance }, length, player) {
  const book = scoreOf(self.ctx.run);
  const put = () => {
    book.set(add(book.score, skill));
    announce(`Skill ${skill} added to the score.`);
  };
  return el("li", { "data-skill": skill }, el("b", {}, `Skill ${skill}`),
    el("span", { class: "bar-ground" }, el("span", { class: "bar-fill", css: { width: `${Math.max(100 * length, 1)}%` } })),
    el("span", { class: "number", title: Number.isFinite(distance) ? `distance ${number(distance)}` : "imagined return" }, number(score)),
    player && button("Perform", () => player.play(skill), { class: "mini", "aria-label": `Perform skill ${skill}` }),
    button("Add", put, { class: "mini", "aria-label": `Add skill ${skill} to the score` }));
}

/** A stage for one ranked skill, and a sentence on what came of it. */
function outcome(self, ctx, best) {
  const came = el("p", { class: "reading", id: "came" });
  let skill = best[0].skill;
  const score = () => ({ ...add(emptyScore(ctx.run.opened ?? ""), skill, STEPS) });
  const told = (state) => {
    if (self.goal && state.path.length) self.map.aim(self.goal, state.path);
    if (state.phase === "ended") came.textContent = words(self, state, skill);
  };
  const player = stage(ctx, { score, skills: () => best.slice(0, 10).map((entry) => entry.skill), told });
  const node = el("div", { class: "stack", hidden: true }, player, came);
  const play = (chosen) => {
    skill = chosen;
    node.hidden = false;
    came.textContent = "";
    player.perform(score());
  };
  return { play, node };
}

function words(self, state, skill) {
  const missed = missedBy(state.path, self.goal, self.atlas.round);
  const played = `Skill ${skill} played ${state.step} steps with a return of ${number(state.total)}.`;
  return `${played} ${missedSentence(missed, self.atlas)}`.trim();
}
