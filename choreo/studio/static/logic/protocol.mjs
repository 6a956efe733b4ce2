// What is said over the WebSockets, and what a performance is after each message.

export const IDLE = Object.freeze({
  phase: "idle", // idle, connecting, playing, paused, ended, failed
  step: -1,
  move: -1,
  skill: null,
  reward: null,
  total: 0,
  path: [],
  error: null,
  advice: null,
});

const FAILED = "The connection to the studio was lost.";
const ADVICE = "See whether the command still runs in its terminal, then perform again.";

/** A message of the server, or null where it is not one. */
export function parse(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    return null;
  }
  return found && typeof found.type === "string" ? found : null;
}

/** The performance after a message; the step's place is kept for the path. */
export function heard(state, message) {
  switch (message.type) {
    case "ready":
      return { ...state, phase: "playing" };
    case "step":
      return stepped(state, message);
    case "ended":
      return { ...state, phase: "ended", total: message.return ?? state.total };
    case "error":
      return { ...state, phase: "failed", error: message.error ?? FAILED, advice: message.do ?? "" };
    default:
      return state;
  }
}

function stepped(state, message) {
  const reward = Number.isFinite(message.reward) ? message.reward : null;
  return {
    ...state,
    phase: state.phase === "paused" ? "paused" : "playing",
    step: message.step,
    move: message.move ?? -1,
    skill: message.skill,
    reward,
    total: state.total + (reward ?? 0),
    path: message.at ? [...state.path.slice(-(LONGEST - 1)), message.at] : state.path,
  };
}

const LONGEST = 4000; // points of the path that are kept

/** The performance after the socket closed: an end only where one was told. */
export function closed(state) {
  const over = ["ended", "failed", "idle"].includes(state.phase);
  return over ? state : { ...state, phase: "failed", error: FAILED, advice: ADVICE };
}

export function isLive(state) {
  return ["connecting", "playing", "paused"].includes(state.phase);
}

export const say = {
  start: (score, more = {}) => ({ type: "start", score, seed: score.seed, ...more }),
  skill: (skill) => ({ type: "skill", skill }),
  speed: (speed) => ({ type: "speed", speed }),
  pause: () => ({ type: "pause" }),
  resume: () => ({ type: "resume" }),
  stop: () => ({ type: "stop" }),
};

/** Frames per second over the last so many milliseconds. */
export class FrameMeter {
  constructor(window = 2000) {
    this.window = window;
    this.times = [];
  }

  tick(now) {
    this.times.push(now);
    while (this.times[0] < now - this.window) this.times.shift();
    return this.rate;
  }

  get rate() {
    if (this.times.length < 2) return null;
    const span = this.times[this.times.length - 1] - this.times[0];
    return span > 0 ? ((this.times.length - 1) * 1000) / span : null;
  }
}

/** Milliseconds before another look or try, longer each time. */
export function patience(tries, first = 150, most = 2000) {
  return Math.min(first * 1.5 ** tries, most);
}

/** The skill of a number key: 1 is the first and 0 the tenth; null for another key. */
export function keyed(key, skills) {
  if (!/^[0-9]$/.test(key)) return null;
  return skills[(Number(key) + 9) % 10] ?? null;
}
