// The line: the moves of a score as cards that are dragged, or moved by keys.

import { skillColour } from "../logic/colour.mjs";
import { add, moveAt, remove, repeat, roundSteps, setSteps, shift } from "../logic/score.mjs";
import { announce, button, el, isDark, numberInput, put } from "./dom.mjs";
import { note } from "./notes.mjs";

export const SKILL = "application/x-choreo-skill";
const MOVE = "application/x-choreo-move";

/** The editor of a score book; `picture(skill)` draws a card. The node's `at(step)` marks the move. */
export function line(book, picture, signal, failed) {
  const list = el("ol", { class: "line", "aria-label": "Moves of the score, in order" });
  const bar = el("div", { class: "timeline", "aria-hidden": "true" });
  const editor = { book, picture, list, focus: null, edit: null };
  editor.edit = (change, focus = null) => {
    editor.focus = focus;
    try {
      book.set(change(book.score));
      failed(null);
    } catch (problem) {
      failed(problem);
    }
  };
  const draw = (score) => {
    put(list, score.moves.length ? score.moves.map((move, n) => card(editor, move, n)) : empty());
    put(bar, score.moves.map((move) => el("i", { css: { "flex-grow": move.steps, background: skillColour(move.skill, isDark()) } })));
    if (editor.focus !== null) list.children[Math.min(editor.focus, score.moves.length - 1)]?.focus();
    editor.focus = null;
  };
  droppable(editor);
  book.follow(draw, signal);
  draw(book.score);
  const node = el("div", { class: "score" }, bar, list);
  node.at = (step) => marked(list, bar, book.score, step);
  node.edit = editor.edit;
  return node;
}

function empty() {
  return el("li", { class: "empty" }, note("The line is empty.", "Drag skills here, or choose them among the skills above."));
}

function card(editor, move, n) {
  const { edit } = editor;
  const steps = numberInput(move.steps, 1, 100_000, (value) => edit((score) => setSteps(score, n, value)),
    { "aria-label": `Steps of move ${n + 1}, skill ${move.skill}` });
  const act = (text, label, change, focus) =>
    button(text, () => edit(change, focus), { class: "mini", "aria-label": `${label} move ${n + 1}, skill ${move.skill}`, title: label });
  return el("li", {
    class: "move", tabindex: 0, draggable: "true", "data-skill": move.skill,
    css: { "--own": skillColour(move.skill, isDark()) },
    "aria-label": `Move ${n + 1}: skill ${move.skill} for ${move.steps} steps`,
    on: { keydown: (event) => pressed(event, editor, n), dragstart: (event) => event.target === event.currentTarget && drag(event, MOVE, n) },
  },
  el("div", { class: "move-head" }, el("b", {}, `Skill ${move.skill}`), editor.picture(move.skill)),
  el("label", {}, steps, " steps"),
  el("div", { class: "minis" },
    act("←", "Earlier", (score) => shift(score, n, n - 1), Math.max(n - 1, 0)),
    act("→", "Later", (score) => shift(score, n, n + 1), n + 1),
    act("2×", "Repeat", (score) => repeat(score, n), n + 1),
    act("×", "Delete", (score) => remove(score, n), n)));
}

const KEYS = {
  Delete: (n) => [(score) => remove(score, n), n, "deleted"],
  Backspace: (n) => [(score) => remove(score, n), n, "deleted"],
  d: (n) => [(score) => repeat(score, n), n + 1, "repeated"],
  "+": (n) => [(score) => setSteps(score, n, score.moves[n].steps + 10), n, "ten steps longer"],
  "-": (n) => [(score) => setSteps(score, n, score.moves[n].steps - 10), n, "ten steps shorter"],
};

function pressed(event, editor, n) {
  if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey) return;
  const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (way && !event.shiftKey) {
    editor.list.children[n + way]?.focus();
  } else if (way) {
    const to = Math.max(0, Math.min(n + way, editor.book.score.moves.length - 1));
    editor.edit((score) => shift(score, n, to), to);
    announce(`Move now at place ${to + 1}.`);
  } else if (KEYS[event.key]) {
    const [change, focus, word] = KEYS[event.key](n);
    editor.edit(change, focus);
    announce(`Move ${n + 1} ${word}.`);
  } else {
    return;
  }
  event.preventDefault();
}

export function drag(event, kind, value) {
  event.dataTransfer.setData(kind, String(value));
  event.dataTransfer.effectAllowed = kind === MOVE ? "move" : "copy";
}

function droppable({ list, edit }) {
  const takes = (event) => [SKILL, MOVE].some((kind) => event.dataTransfer.types.includes(kind));
  list.addEventListener("dragover", (event) => {
    if (!takes(event)) return;
    event.preventDefault();
    list.classList.add("over");
  });
  list.addEventListener("dragleave", () => list.classList.remove("over"));
  list.addEventListener("drop", (event) => {
    list.classList.remove("over");
    if (!takes(event)) return;
    event.preventDefault();
    const at = gap(list, event);
    const skill = event.dataTransfer.getData(SKILL);
    const from = event.dataTransfer.getData(MOVE);
    if (skill !== "") edit((score) => add(score, Number(skill), undefined, at));
    else edit((score) => shift(score, Number(from), at > Number(from) ? at - 1 : at));
  });
}

/** The place in the line that the pointer stands at. */
function gap(list, event) {
  const cards = [...list.querySelectorAll(".move")];
  const found = cards.findIndex((each) => {
    const { left, width, bottom } = each.getBoundingClientRect();
    return event.clientY < bottom && event.clientX < left + width / 2;
  });
  return found < 0 ? cards.length : found;
}

function marked(list, bar, score, step) {
  const now = moveAt(score, Math.max(step - 1, 0)); // step 0 is the start

  [...list.children].forEach((each, n) => each.classList.toggle("now", n === now));
  [...bar.children].forEach((each, n) => each.classList.toggle("now", n === now));
  const round = roundSteps(score);
  bar.style.setProperty("--done", round ? `${(100 * (step % round || (step > 0 ? round : 0))) / round}%` : "0%");
}
