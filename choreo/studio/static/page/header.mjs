// The header: which run, its facts, the views, the condition; the same everywhere.

import { count, plural } from "../logic/format.mjs";
import { CONDITION_WORDS, conditionOf, offered, writeRoute } from "../logic/route.mjs";
import { choice, el, select } from "./dom.mjs";

const NAMES = {
  skills: "Skills", dream: "Real and dream", choreograph: "Choreograph",
  prompt: "Prompt", choices: "Which skill when", learning: "Learning", runs: "Runs",
};
const CONDITIONS = [["trained", "Trained"], ["untrained", "Untrained"], ["random", "Random"]];

export function header({ runs, run, beside, route, go, signal }) {
  const brand = el("h1", {}, el("img", { src: "/static/icon.svg", alt: "", width: 28, height: 28 }), "Skill studio");
  return [
    el("div", { class: "row" }, brand, run && pickers(runs, run, beside, go)),
    run && el("div", { class: "row" }, facts(run, signal)),
    run && el("div", { class: "row tabs" }, views(runs, run, route), conditions(run, route, go)),
  ];
}

function pickers(runs, run, beside, go) {
  const named = runs.map((found) => [found.id, found.title]);
  if (runs.length < 2) return el("p", { class: "run-name" }, run.title);
  const others = [["", "no other"], ...named.filter(([id]) => id !== run.id)];
  const change = (id) => go({ run: id, skill: null });
  return el("div", { class: "pickers" },
    el("label", {}, "Run ", select(named, run.id, change, { id: "run" })),
    el("label", {}, "beside ", select(others, beside?.id ?? "", (id) => go({ beside: id || null }), { id: "beside" })));
}

export function facts(run, signal) {
  const node = el("ul", { class: "facts", "aria-label": "About this run" });
  const renew = () => node.replaceChildren(...words(run).map((text) => el("li", {}, text)));
  document.addEventListener("run-changed", renew, { signal });
  renew();
  return node;
}

const PHASES = { pretrain: "pre-trained", offline: "from recorded data", finetune: "fine-tuned" };

function words(run) {
  return [
    run.environment,
    run.obs,
    PHASES[run.phase] ?? run.phase,
    Number.isFinite(run.frames) ? plural(run.frames, run.counted === "updates" ? "update" : "frame") : null,
    run.skills > 0 && plural(run.skills, "skill"),
    run.preset && `preset ${run.preset}`,
    Number.isFinite(run.seed) ? `seed ${count(run.seed)}` : null,
    run.running && "learning now",
  ].filter(Boolean);
}

function views(runs, run, route) {
  const there = { choices: run.phase === "finetune", runs: runs.length > 1 };
  const links = Object.entries(NAMES).filter(([name]) => there[name] ?? true);
  return el("nav", { "aria-label": "Views" }, links.map(([view, name]) => {
    const here = view === route.view;
    return el("a", { href: writeRoute({ ...route, view }), "aria-current": here ? "page" : null }, name);
  }));
}

function conditions(run, route, go) {
  const { conditions: found, why } = offered(route.view, run);
  if (found.length === 0) return null;
  const shown = conditionOf(route, run);
  const options = CONDITIONS.map(([name, text]) => [name, text, found.includes(name) ? null : why]);
  const node = choice("Condition", options, shown, (condition) => go({ condition }));
  return el("div", { class: "condition" }, node, el("small", {}, `${CONDITION_WORDS[shown]} ${why}`.trim()));
}
