// What stands in the address after #: run, view, condition, skill and the run beside it.

export const CONDITIONS = ["trained", "untrained", "random"];
export const VIEWS = ["skills", "dream", "choreograph", "prompt", "choices", "learning", "runs"];

export const CONDITION_WORDS = {
  trained: "The skills as they were learned.",
  untrained: "The same networks before learning: what the body does by itself.",
  random: "Random actions: what chance reaches.",
};

const WITHOUT_RANDOM = {
  prompt: "Random actions follow no skill, so there is nothing to rank.",
  skills: "Random actions are played in a simulator, which this run has not.",
};

/**
 * Which conditions a view can show of a run, and why not all: {conditions, why}. Views that show
 * none (what was logged, what a fine-tuned agent chose, the list of runs) have no conditions.
 */
export function offered(view, run) {
  if (!["skills", "dream", "choreograph", "prompt"].includes(view)) return { conditions: [], why: "" };
  const why = view === "prompt" || !run.simulates ? (WITHOUT_RANDOM[view] ?? "") : "";
  return { conditions: why ? CONDITIONS.slice(0, 2) : CONDITIONS, why };
}

/** The condition that a view shows: the one of the address, or trained where that is not offered. */
export function conditionOf(route, run) {
  return offered(route.view, run).conditions.includes(route.condition) ? route.condition : "trained";
}

/** The route of a hash; what is unknown falls back to what is usual. */
export function readRoute(hash) {
  const found = new URLSearchParams(hash.replace(/^#/, ""));
  const skill = found.get("skill");
  return {
    run: found.get("run"),
    beside: found.get("beside"),
    view: oneOf(found.get("view"), VIEWS),
    condition: oneOf(found.get("condition"), CONDITIONS),
    skill: skill !== null && /^\d{1,6}$/.test(skill) ? Number(skill) : null,
  };
}

export function writeRoute(route) {
  const words = new URLSearchParams();
  for (const name of ["run", "view", "condition", "skill", "beside"]) {
    if (route[name] !== null && route[name] !== undefined) words.set(name, route[name]);
  }
  return `#${words}`;
}

/** The route with runs that exist, none beside itself; without a run that exists, the list of all. */
export function settled(route, runs) {
  const known = new Set(runs.map((run) => run.id));
  const usual = runs.find((each) => each.skills > 0) ?? runs[0]; // one that has saved something
  const run = known.has(route.run) ? route.run : (usual?.id ?? null);
  const beside = known.has(route.beside) && route.beside !== run ? route.beside : null;
  const view = run !== route.run && runs.length > 1 ? "runs" : route.view;
  return { ...route, run, beside, view };
}

function oneOf(value, known) {
  return known.includes(value) ? value : known[0];
}
