// Which skill when: what the meta-controller of a fine-tuned agent chose, step by step.

import { number, percent } from "../../logic/format.mjs";
import { running, stretches, tally } from "../../logic/series.mjs";
import { finish, get, runPath } from "../api.mjs";
import { lineChart, rewardLine, skillStrip } from "../charts.mjs";
import { el } from "../dom.mjs";
import { film, together } from "../film.mjs";
import { note, section, showing } from "../notes.mjs";

export function choicesView(ctx) {
  const node = el("div", { class: "view" });
  if (ctx.run.phase !== "finetune") {
    node.append(note("Only a fine-tuned agent chooses among its skills.",
      "Adapt this run to a task with choreo finetune --from RUN, then open that run."));
    return node;
  }
  const path = runPath(ctx.run, "choices");
  const load = async (tell) => finish(await get(path, ctx.signal), ctx.signal, tell);
  showing(node, "Playing an episode of the task", load, (result) => shown(ctx, result));
  return node;
}

function shown(ctx, { skills = [], reward = [], film: url = null }) {
  const strip = skillStrip(skills, words(skills), ctx.signal);
  const rewards = lineChart({ lines: [rewardLine(reward)], names: ["step", "reward"], label: "Reward per step", zero: true }, ctx.signal);
  const sums = lineChart({ lines: [rewardLine(running(reward))], names: ["step", "return so far"], label: "Return up to each step", zero: true }, ctx.signal);
  const slider = el("input", { type: "range", min: 0, max: Math.max(skills.length - 1, 1), value: 0, "aria-label": "Step" });
  const now = el("output", {}, "");
  const move = (step) => {
    slider.value = step;
    now.textContent = `step ${step}: skill ${skills[step] ?? "–"}, reward ${number(reward[step])}`;
    for (const each of [strip, rewards, sums]) each.at(step);
  };
  const picture = url ? film(url, "Film of the episode", ctx.signal) : note("No film: pictures cannot be drawn here.");
  together([picture], slider, skills.length, move);
  return section("Which skill when",
    "Above which skill the meta-controller chose at each step, below the reward that came of it. The line moves with the film.",
    el("p", { class: "reading" }, words(skills)),
    el("div", { class: "film-beside" }, picture,
      el("div", { class: "stack" }, strip, el("div", { class: "bar" }, slider, now), rewards, sums)));
}

function words(skills) {
  if (!skills.length) return "The episode had no steps.";
  const [most, steps] = tally(skills)[0];
  const held = skills.length / stretches(skills).length;
  const used = tally(skills).length;
  if (used === 1) return `One skill was chosen for the whole episode: skill ${most}.`;
  return `${used} skills were chosen, most often skill ${most} (${percent(steps / skills.length)} of the steps); a choice stood for ${number(held)} steps on average.`;
}
