// States that have a sentence: working, failed, empty, not available.

import { progressText, share } from "../logic/format.mjs";
import { announce, button, el, put } from "./dom.mjs";

export function note(text, advice = "", kind = "note") {
  return el("p", { class: kind }, text, advice ? " " : null, advice && el("span", { class: "advice" }, advice));
}

export function failed(problem, again = null) {
  announce(`${problem.message} ${problem.advice ?? ""}`);
  const retry = again && button("Try again", again, { class: "quiet" });
  return el("div", { class: "failed", role: "group", "aria-label": "Problem" },
    el("p", {}, el("strong", {}, problem.message), " ", problem.advice ?? ""), retry);
}

/** Work in progress; `tell` renews it. */
export function working(text) {
  const words = el("span", {}, text);
  const bar = el("progress", { max: 1, "aria-label": text });
  const node = el("div", { class: "working" }, words, bar);
  node.tell = (progress) => {
    if (!progress) return;
    words.textContent = progressText(progress);
    const part = share(progress);
    if (part === null) bar.removeAttribute("value");
    else bar.value = part;
  };
  announce(text);
  return node;
}

/** Show work in a place, then what it gave, or why it failed with a way to try again. */
export async function showing(place, text, act, show) {
  const state = working(text);
  put(place, state);
  place.setAttribute("aria-busy", "true");
  try {
    const result = await act(state.tell);
    put(place, show(result));
    announce("Done.");
    return result;
  } catch (error) {
    if (error.name === "AbortError") return null;
    put(place, failed(error, () => showing(place, text, act, show)));
    return null;
  } finally {
    place.removeAttribute("aria-busy");
  }
}

/** A section with a heading and the sentence that says what it shows. */
export function section(title, meaning, ...children) {
  const heading = el("h2", {}, title);
  return el("section", { class: "card", "aria-label": title },
    el("div", { class: "head" }, heading), meaning && el("p", { class: "meaning" }, meaning), children);
}

const CONTROLS = {
  untrained: "You look at a control: the networks before learning act here, and dream.",
  random: "You look at a control: random actions are taken here. What is dreamed, the trained agent's model dreams, of random actions too.",
};

/** Said where what is shown is not of the trained agent. */
export function control(ctx) {
  return ctx.condition in CONTROLS ? [note(CONTROLS[ctx.condition])] : [];
}
