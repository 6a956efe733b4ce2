// While it learns: health over time, renewed as the run writes.

import { readable } from "../../logic/format.mjs";
import { get, renewable, runPath } from "../api.mjs";
import { lastValue, lineChart } from "../charts.mjs";
import { el, put } from "../dom.mjs";
import { note, section, showing } from "../notes.mjs";

const ABOUT = {
  "imagined/hit_rate": "How often imagined skills are at their own code; measured here, for every checkpoint that the run saves.",
  "train/codebook/perplexity": "How many codes stand for something of their own.",
  "train/skills/reward_code": "How near skills come to their codes in imagination; 0 would be all the way.",
  "train/skills/reward_entropy": "How far apart the states are that skills visit in imagination.",
  "train/world_model/loss": "How badly the world model predicts what was seen.",
  "train/world_model/kl": "How much what is seen still surprises the world model.",
  "train/exploration/bonus": "How new the explorer finds what it imagines; it falls as the world becomes known.",
  "train/adaptation/return": "What the agent expects of the task, in imagination.",
  "train/adaptation/entropy": "How undecided the meta-controller is among skills.",
  "train/adaptation/deviation": "How much of the actions is chance: 0.1 at least, and noise above 1.",
  "evaluation/return": "Return of whole episodes, played to measure.",
  "episode/return": "Return of the episodes that it learns from.",
};
const GOOD = { high: "Higher is better.", low: "Lower is better." };

export function learningView(ctx) {
  const node = el("div", { class: "view" });
  const charts = el("div", { class: "stack" });
  node.append(charts);
  const next = renewable(ctx.signal);
  const fetched = () => get(runPath(ctx.run, "health"), ctx.signal);
  showing(charts, "Reading the metrics", fetched, (found) => drawn(next(), found));
  ctx.follow((message) => message.type === "health" && put(charts, drawn(next(), message)));
  return node;
}

function drawn(signal, found) {
  const series = Object.entries(found.series ?? {}).filter(([, each]) => each.points?.length);
  const state = found.running ? "The run is learning now; these curves renew themselves." : "The run is not learning now.";
  const warnings = (found.warnings ?? []).map((text) => el("li", {}, text));
  return [
    section("Health", `${state} Each curve is a figure of the learning over ${readable(found.x ?? "frames")}.`,
      warnings.length ? el("ul", { class: "warnings", "aria-label": "Warnings" }, warnings) : note("No warnings.", "", "note quiet"),
      found.measuring && note("The hit rate in imagination is being measured; its curve shows up by itself.", "", "note quiet")),
    series.length
      ? el("div", { class: "charts" }, series.map(([name, each]) => chart(signal, name, each, found.x)))
      : (found.running
        ? note("Nothing has been logged yet.", "The first curve appears after the first update.")
        : note("There are no curves here.", "A pack or a snapshot comes without its metrics; a run writes them from its first update on.")),
  ];
}

function chart(signal, name, { label, points, good, about }, x = "frames") {
  const title = label ?? readable(name);
  const words = `${title} over ${readable(x)}, now ${lastValue(points)}`;
  return el("section", { class: "card small", "aria-label": title },
    el("div", { class: "head" }, el("h3", {}, title), el("b", { class: "now" }, lastValue(points))),
    el("p", { class: "meaning" }, [about ?? ABOUT[name], GOOD[good]].filter(Boolean).join(" ")),
    lineChart({ lines: [{ points, kind: "real" }], names: [x, null], label: words }, signal));
}
