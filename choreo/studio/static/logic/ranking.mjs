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

/** Distance of where a path ended from a goal, or null; `round` are axes that hold an angle. */
export function missedBy(path, goal, round = []) {
  const last = path[path.length - 1];
  if (!last || !goal) return null;
  const apart = (n) => {
    const size = last[n] - goal[n];
    return round[n] ? Math.atan2(Math.sin(size), Math.cos(size)) : size;
  };
  return Math.hypot(apart(0), apart(1));
}
