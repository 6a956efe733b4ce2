// Skills in the order of how good imagination finds them.

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

/** Distance of where a path ended from a goal, or null. */
export function missedBy(path, goal) {
  const last = path[path.length - 1];
  if (!last || !goal) return null;
  return Math.hypot(last[0] - goal[0], last[1] - goal[1]);
}
