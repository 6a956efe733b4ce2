// Skills in the order of how good imagination finds them.

import { number, readable } from "./format.mjs";

/** Best first; what has no score stands last. */
export function ranked(ranking) {
  const worth = (entry) => (Number.isFinite(entry.score) ? entry.score : -Infinity);
  return [...ranking].sort((a, b) => worth(b) - worth(a) || a.skill - b.skill);
}

/** The length of each entry's bar, from 0 to 1, between the worst and the best score. */
export function bars(ranking) {
  const scores = ranking.map((entry) => entry.score).filter(Number.isFinite);
  const low = Math.min(...scores);
  const size = Math.max(...scores) - low;
  return ranking.map(({ score }) => (!Number.isFinite(score) ? 0 : size ? (score - low) / size : 1));
}

/** How far from a goal a path ended along each axis, or null; `round` are axes that hold an angle. */
export function missedBy(path, goal, round) {
  const last = path[path.length - 1];
  if (!last || !goal) return null;
  return [0, 1].map((n) => {
    const size = last[n] - goal[n];
    return Math.abs(round[n] ? Math.atan2(Math.sin(size), Math.cos(size)) : size);
  });
}

/** The same in a sentence, with the axes' names; an angle is in radians. */
export function missedSentence(missed, { axes, kind, round }) {
  if (missed === null) return "";
  const parts = missed.map((size, n) => `${number(size)}${round[n] ? " rad" : ""} in ${readable(axes[n])}`);
  const unit = kind === "embedding" ? ", in the map's own unit" : "";
  return `It ended off the goal by ${parts.join(" and ")}${unit}.`;
}
