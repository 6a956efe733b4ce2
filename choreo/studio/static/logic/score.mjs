// A score: skills in order, each for so many steps. Every edit returns a new score.

export const MOST_MOVES = 1000;
export const MOST_STEPS = 100_000; // over all loops, as the server takes them
export const USUAL_STEPS = 50;

/** What is wrong with a score, and what to do about it. */
export class ScoreProblem extends Error {
  constructor(message, advice) {
    super(message);
    this.advice = advice;
  }
}

export function emptyScore(checkpoint = "", seed = 0) {
  return { moves: [], seed, loop: 1, start: "reset", checkpoint };
}

/** The score with a skill put in before place `at`, at the end unless given. */
export function add(score, skill, steps = USUAL_STEPS, at = score.moves.length) {
  const moves = [...score.moves];
  moves.splice(clamp(at, 0, moves.length), 0, { skill, steps: whole(steps, 1) });
  return fitting({ ...score, moves });
}

export function remove(score, at) {
  return { ...score, moves: score.moves.filter((_, n) => n !== at) };
}

/** The score with the move at `from` standing at `to` in the result. */
export function shift(score, from, to) {
  if (!score.moves[from]) return score;
  const moves = [...score.moves];
  const [taken] = moves.splice(from, 1);
  moves.splice(clamp(to, 0, moves.length), 0, taken);
  return { ...score, moves };
}

export function repeat(score, at) {
  const found = score.moves[at];
  return found ? add(score, found.skill, found.steps, at + 1) : score;
}

export function setSteps(score, at, steps) {
  const moves = score.moves.map((m, n) => (n === at ? { ...m, steps: whole(steps, 1) } : m));
  return fitting({ ...score, moves });
}

export function setLoop(score, loop) {
  return fitting({ ...score, loop: whole(loop, 1) });
}

export function setSeed(score, seed) {
  return { ...score, seed: whole(seed, 0) };
}

/** Steps of one round. */
export function roundSteps(score) {
  return score.moves.reduce((sum, move) => sum + move.steps, 0);
}

export function totalSteps(score) {
  return roundSteps(score) * score.loop;
}

/** Which move plays at a step, rounds counted on; -1 past the end. */
export function moveAt(score, step) {
  const round = roundSteps(score);
  if (round === 0 || step < 0 || step >= round * score.loop) return -1;
  let left = step % round;
  return score.moves.findIndex((move) => (left -= move.steps) < 0);
}

/** Skills for the number keys 1 to 9 and 0: those of the score first, then others in order. */
export function keySkills(score, others, most = 10) {
  return [...new Set([...score.moves.map((move) => move.skill), ...others])].slice(0, most);
}

export function toText(score) {
  return JSON.stringify(score, null, 2) + "\n";
}

/** The score of a file; refuses what is not one, or names skills that the run lacks. */
export function fromText(text, skills) {
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    throw new ScoreProblem("The file is not JSON.", "Choose a file that the studio saved.");
  }
  if (!found || !Array.isArray(found.moves)) {
    throw new ScoreProblem("The file has no list of moves.", "Choose a file that the studio saved.");
  }
  const moves = found.moves.map((move, n) => checked(move, n, skills));
  const { seed = 0, loop = 1, start = "reset", checkpoint = "" } = found;
  if (!isWhole(seed, 0) || !isWhole(loop, 1)) {
    throw new ScoreProblem("Seed and loop must be whole numbers.", "Mend the file.");
  }
  if (start !== "reset") {
    throw new ScoreProblem("A score can only start from a reset.", 'Write "start": "reset", or leave it out.');
  }
  if (!/^([0-9a-f]{64})?$/.test(checkpoint)) {
    throw new ScoreProblem("The checkpoint of the score is no hash.", "Leave it out, or write its 64 hexadecimal digits.");
  }
  return fitting({ moves, seed, loop, start, checkpoint });
}

function checked(move, n, skills) {
  if (!move || !isWhole(move.skill, 0) || !isWhole(move.steps, 1)) {
    const wanted = "Each move needs a skill and its steps, as whole numbers.";
    throw new ScoreProblem(`Move ${n + 1} is not a skill with steps.`, wanted);
  }
  if (move.skill >= skills) {
    const wanted = "Open the run that the score was made for.";
    throw new ScoreProblem(`Move ${n + 1} names skill ${move.skill}; this run has ${skills}.`, wanted);
  }
  return { skill: move.skill, steps: move.steps };
}

function fitting(score) {
  if (score.moves.length > MOST_MOVES) {
    throw new ScoreProblem(`A score has at most ${MOST_MOVES} moves.`, "Use the loop instead.");
  }
  if (totalSteps(score) > MOST_STEPS) {
    const most = MOST_STEPS.toLocaleString("en");
    throw new ScoreProblem(`A score has at most ${most} steps.`, "Take fewer steps or loops.");
  }
  return score;
}

function isWhole(value, least) {
  return Number.isSafeInteger(value) && value >= least;
}

function whole(value, least) {
  const found = Math.round(Number(value));
  return Number.isFinite(found) ? Math.max(least, found) : least;
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
