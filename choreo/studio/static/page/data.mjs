// What several views need of a run, fetched once.

import { readAtlas } from "../logic/atlas.mjs";
import { emptyScore, fromText, toText } from "../logic/score.mjs";
import { get, post, runPath, wait } from "./api.mjs";

const maps = new Map();

/** The map of a run in a condition, with its figures; waits until it is made. */
export async function loadMap(run, condition, signal, tell) {
  const key = `${run.id} ${condition}`;
  if (!maps.has(key)) {
    const found = await wait(runPath(run, `map?condition=${condition}`), signal, tell);
    maps.set(key, { ...found, atlas: readAtlas(found.map, found.reading?.round) });
    run.opened = found.checkpoint; // which the page shows, while `checkpoint` is the latest saved
    document.dispatchEvent(new CustomEvent("run-changed", { detail: run }));
  }
  return maps.get(key);
}

/** The atlas, or where no map can be drawn (no simulator) the bare numbers of the skills. */
export async function loadSkills(run, condition, signal, tell) {
  if (run.simulates) return (await loadMap(run, condition, signal, tell)).atlas;
  const found = await loadMap(run, condition, signal, tell).catch((error) => {
    if (error.name === "AbortError") throw error;
    return null;
  });
  const skills = Array.from({ length: run.skills }, (_, skill) => ({ skill }));
  return found?.map ? found.atlas : readAtlas({ skills });
}

/** Take the latest checkpoint of a run in training. */
export async function renew(run, signal) {
  await post(runPath(run, "renew"), {}, signal);
  run.opened = null;
  for (const key of maps.keys()) if (key.startsWith(`${run.id} `)) maps.delete(key);
}

export function loadRuns(signal) {
  return get("/api/runs", signal).then((found) => found.runs ?? []);
}

/** The score that this tab works on for a run; it outlives a reload. */
export class ScoreBook {
  constructor(run) {
    this.run = run;
    this.key = `score ${run.id}`;
    this.listeners = new Set();
    this.score = this.remembered();
  }

  remembered() {
    try {
      return fromText(sessionStorage.getItem(this.key) ?? "", this.run.skills);
    } catch {
      return emptyScore();
    }
  }

  set(score) {
    this.score = { ...score, checkpoint: score.checkpoint || this.run.opened || "" };
    try {
      sessionStorage.setItem(this.key, toText(this.score));
    } catch {
      // A full or closed storage costs the memory of a reload and nothing else.
    }
    for (const listener of this.listeners) listener(this.score);
  }

  /** Call `listener` with every new score until `signal`. */
  follow(listener, signal) {
    this.listeners.add(listener);
    signal.addEventListener("abort", () => this.listeners.delete(listener));
  }
}

const books = new Map();

export function scoreOf(run) {
  if (!books.has(run.id)) books.set(run.id, new ScoreBook(run));
  const book = books.get(run.id);
  book.run = run; // which is read anew now and then
  return book;
}
