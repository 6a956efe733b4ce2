// All runs of the folder, each with its facts.

import { plural } from "../../logic/format.mjs";
import { writeRoute } from "../../logic/route.mjs";
import { el } from "../dom.mjs";
import { facts } from "../header.mjs";
import { note, section } from "../notes.mjs";

/** A card for every run; the one that is open can have another beside it. */
export function runsView({ runs, route, signal }) {
  const cards = runs.map((run) => el("li", { class: "card small" },
    el("h3", {}, el("a", { href: writeRoute({ ...route, run: run.id, view: "skills", skill: null, beside: null }) }, run.title)),
    facts(run, signal),
    run.why_not && note(run.why_not, "", "note quiet"),
    run.id !== route.run && beside(run, route)));
  return section("Runs", `${plural(runs.length, "run")} in this folder. Open one, or put one beside the run that is open.`,
    el("ul", { class: "charts" }, cards));
}

function beside(run, route) {
  const href = writeRoute({ ...route, view: "skills", beside: run.id });
  return el("a", { href, "aria-label": `${run.title} beside the run that is open` }, "Open beside");
}
