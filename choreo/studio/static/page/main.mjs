// The page: reads the address, draws header and views, one column per run.

import { conditionOf, readRoute, settled, writeRoute } from "../logic/route.mjs";
import { attempt, get, pause, watch } from "./api.mjs";
import { loadRuns, renew } from "./data.mjs";
import { el, put } from "./dom.mjs";
import { facts, header } from "./header.mjs";
import { failed, note, working } from "./notes.mjs";
import { choicesView } from "./views/choices.mjs";
import { choreographView } from "./views/choreograph.mjs";
import { dreamView } from "./views/dream.mjs";
import { learningView } from "./views/learning.mjs";
import { runsView } from "./views/runs.mjs";
import { promptView } from "./views/prompt.mjs";
import { skillsView } from "./views/skills.mjs";

const VIEWS = {
  skills: skillsView, dream: dreamView, choreograph: choreographView,
  prompt: promptView, choices: choicesView, learning: learningView,
};
const content = document.getElementById("content");
const top = document.getElementById("header");

let runs = [];
let route = readRoute(location.hash);
let shown = new AbortController();

/** Go to a changed route; only another skill is written down without drawing anew. */
function go(changes) {
  const next = { ...route, ...changes };
  const same = ["run", "beside", "view", "condition"].every((name) => next[name] === route[name]);
  if (same) {
    route = next;
    history.replaceState(null, "", writeRoute(route));
  } else {
    location.hash = writeRoute(next);
  }
}

function draw() {
  shown.abort();
  shown = new AbortController();
  route = settled(readRoute(location.hash), runs);
  history.replaceState(null, "", writeRoute(route));
  const run = runs.find((found) => found.id === route.run);
  const beside = runs.find((found) => found.id === route.beside);
  put(top, header({ runs, run, beside, route, go, signal: shown.signal }));
  document.title = run ? `${run.title} · Skill studio` : "Skill studio";
  content.className = beside && route.view !== "runs" ? "pair" : "";
  if (route.view === "runs") {
    put(content, runsView({ runs, route, signal: shown.signal }));
    return;
  }
  const columns = [run, beside].filter(Boolean).map((found) => column(found, Boolean(beside), shown.signal));
  put(content, columns.length ? columns : nothing());
}

function nothing() {
  return note("There is no run here.", "Train one with choreo pretrain, then open the studio on its folder.");
}

function column(run, named, signal) {
  const listeners = new Set();
  const follow = (listener) => listeners.add(listener);
  const ctx = { run, signal, go, follow, condition: conditionOf(route, run), skill: route.skill, runs };
  const news = el("div", { class: "news", "aria-live": "polite" });
  const title = named && [el("h2", { class: "run-name" }, run.title), facts(run, signal)];
  const node = el("div", { class: "column" }, title, news);
  const missing = run.why_not && note(run.why_not, "", "note quiet");
  const drawable = run.skills > 0 || route.view === "learning";
  node.append(...[missing, drawable && VIEWS[route.view](ctx)].filter(Boolean));
  document.addEventListener("run-changed", () => isOld(run) && offerRenewal(ctx, news), { signal });
  watch(run, (message) => heard(message, ctx, listeners), signal);
  return node;
}

function heard(message, ctx, listeners) {
  if (message.type === "run") {
    const before = possible(ctx.run);
    Object.assign(ctx.run, { ...message, type: undefined });
    if (before !== possible(ctx.run)) draw(); // the first checkpoint, or a renderer, was found
    document.dispatchEvent(new CustomEvent("run-changed", { detail: ctx.run }));
  }
  for (const listener of listeners) listener(message);
}

/** Whether a later checkpoint was saved than the one that the page shows. */
const isOld = (run) => Boolean(run.opened && run.checkpoint) && run.opened !== run.checkpoint;

/** What a view is made of: when it changes, the view is made anew. */
const possible = (run) => [run.skills, run.simulates, run.renders].join();

/** A run in training has saved more since: say so and let the person decide. */
function offerRenewal(ctx, news) {
  const act = () => attempt(async () => {
    put(news, working("Taking the latest checkpoint"));
    await renew(ctx.run, ctx.signal);
    runs = await loadRuns(ctx.signal);
    draw();
  }, (problem) => put(news, failed(problem, act)));
  const take = el("button", { type: "button", class: "quiet", on: { click: act } }, "Show the latest");
  put(news, el("p", { class: "note" }, "The run has learned more since this was drawn. ", take));
}

async function open() {
  put(content, working("Opening the runs"));
  await attempt(async () => {
    runs = await loadRuns();
    window.addEventListener("hashchange", draw);
    draw();
  }, (problem) => put(content, failed(problem, open)));
}

/** New runs of the folder appear by themselves, at leisure. */
async function lookForRuns() {
  for (;;) {
    await pause(20_000);
    if (document.hidden) continue;
    const found = await get("/api/runs").catch(() => null);
    if (!found) continue;
    const changed = found.runs.map((run) => run.id).join() !== runs.map((run) => run.id).join();
    if (!changed) continue;
    runs = found.runs;
    const [run, beside] = [route.run, route.beside].map((id) => runs.find((each) => each.id === id));
    put(top, header({ runs, run, beside, route, go, signal: shown.signal }));
  }
}

document.querySelector("[data-skip]").addEventListener("click", (event) => {
  event.preventDefault();
  content.focus();
});
open().then(lookForRuns);
