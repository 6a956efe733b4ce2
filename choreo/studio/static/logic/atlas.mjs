// The atlas of the server as the page draws it.

import { count, number, percent, place } from "./format.mjs";
import { isPoint } from "./scale.mjs";

/** Skills with every field there, in order of number; `round` says which axes hold an angle. */
export function readAtlas(json, round = [false, false]) {
  const skills = (json?.skills ?? []).map((found) => ({
    ...found,
    at: [found.x, found.y],
    use: found.use ?? null,
    hit: found.hit_rate ?? null,
    idle: Boolean(found.idle),
    path: (found.path ?? []).filter(isPoint),
    relatives: found.relatives ?? [],
  }));
  skills.sort((a, b) => a.skill - b.skill);
  return { axes: json?.axes ?? ["x", "y"], kind: json?.kind ?? "embedding", round, skills };
}

export function bySkill(atlas, skill) {
  return atlas.skills.find((found) => found.skill === skill) ?? null;
}

/** Radius in pixels: the area grows with use. */
export function radius(use, uses, least = 5, most = 16) {
  const top = Math.max(...uses.filter(Number.isFinite), 1e-9);
  return least + (most - least) * Math.sqrt(Math.max(use ?? 0, 0) / top);
}

/** What a screen reader says of a skill. */
export function spoken(found, axes, kind) {
  if (found.idle) return `Skill ${found.skill}, an idle code: no data uses it.`;
  const hit = found.hit === null ? "hit rate not measured" : `hit rate ${percent(found.hit)}`;
  const use = found.use === null ? "" : `, use ${percent(found.use)}`;
  const ends = kind === "coordinates" ? `, ends at ${place(found.at, axes)}` : "";
  return `Skill ${found.skill}, ${hit}${use}${ends}.`;
}

/** Skills by hit rate, the best first; idle codes last. */
export function byHit(atlas) {
  const worth = (found) => (found.idle ? -2 : (found.hit ?? -1));
  return [...atlas.skills].sort((a, b) => worth(b) - worth(a) || a.skill - b.skill);
}

const KNOWN = {
  use: ["Use", "Share of the states seen whose nearest code is this skill's.", percent],
  hit_rate: ["Hit rate", "Share of its steps at which the skill is at its own code.", percent],
  named_right: ["Told apart", "Share of its states from which a classifier names the skill.", percent],
  coverage: ["Cells visited", "Cells of the state space that its episodes pass.", count],
  return_mean: ["Return", "Sum of the environment's own reward over an episode, on average.", number],
  return_low: ["Lowest return", "Of its episodes.", number],
  return_high: ["Highest return", "Of its episodes.", number],
  at_action_limits: ["At action limits", "Share of steps with an action within 1% of a limit.", percent],
  action_rate: ["Jerk", "Mean change of an action per step, as a share of its range.", percent],
  early_ends: ["Early ends", "Episodes that ended before their time, per 1,000 steps.", number],
  falls: ["Falls", "Share of episodes in which the height sank below half of the start's.", percent],
  at_joint_limits: ["At joint limits", "Share of joints within 1% of a limit, on average.", percent],
};
const DRAWN = new Set(["skill", "x", "y", "at", "hit", "idle", "path", "relatives"]);

/** Figures of a skill as rows {label, value, meaning}; nested ones are taken apart. */
export function figures(found) {
  const rows = [];
  for (const [name, value] of Object.entries(found)) {
    if (DRAWN.has(name)) continue;
    if (value && typeof value === "object" && !Array.isArray(value)) {
      rows.push(...figures(value));
    } else if (value === null || Number.isFinite(value)) {
      const [label, meaning, write] = KNOWN[name] ?? [name.replaceAll("_", " "), "", number];
      rows.push({ label, value: write(value), meaning });
    }
  }
  return rows;
}
