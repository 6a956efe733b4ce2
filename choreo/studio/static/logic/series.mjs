// Values per step: stretches of one skill, how often each, where a dream leaves.

/** Stretches of one skill: [{skill, from, to}], `to` not included. */
export function stretches(skills) {
  const found = [];
  skills.forEach((skill, step) => {
    const last = found[found.length - 1];
    if (last && last.skill === skill) last.to = step + 1;
    else found.push({ skill, from: step, to: step + 1 });
  });
  return found;
}

/** The part of a path that each stretch of a skill took: [{skill, points}]; the path may be thinned. */
export function pieces(points, skills) {
  const scale = (points.length - 1) / Math.max(skills.length, 1);
  return stretches(skills).map(({ skill, from, to }) => ({
    skill,
    points: points.slice(Math.floor(from * scale), Math.ceil(to * scale) + 1),
  }));
}

/** Skills by how many steps they took: [[skill, steps], ..], most first. */
export function tally(skills) {
  const found = new Map();
  for (const skill of skills) found.set(skill, (found.get(skill) ?? 0) + 1);
  return [...found].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
}

/** What the strip of errors says, in a sentence; `off` is the mean error in variances of the data. */
export function leavesSentence(leaves, steps, off) {
  if (Number.isFinite(leaves)) {
    return leaves === 0
      ? "The dream is no better than guessing that nothing changes, from the first step on."
      : `The dream leaves reality at step ${leaves} of ${steps}: there, guessing that nothing changes is better.`;
  }
  if (off >= 1) {
    return `The dream is nearer than guessing that nothing changes over all ${steps} steps, and yet no nearer than always guessing the mean.`;
  }
  return `The dream stays with reality over all ${steps} steps: it is nearer than guessing that nothing changes.`;
}

export function mean(values) {
  const good = values.filter(Number.isFinite);
  return good.length ? good.reduce((sum, value) => sum + value, 0) / good.length : null;
}

/** Running sum of rewards. */
export function running(values) {
  let sum = 0;
  return values.map((value) => (sum += Number.isFinite(value) ? value : 0));
}

/** Points [step, value] of values per step. */
export function stepped(values) {
  return values.map((value, step) => [step, value]);
}

/** At most so many of the points, the first and the last among them. */
export function thinned(points, most = 600) {
  if (points.length <= most) return points;
  const stride = (points.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, n) => points[Math.round(n * stride)]);
}
