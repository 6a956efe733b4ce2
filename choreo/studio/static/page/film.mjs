// A film in a tile: fetched when it comes into sight, still for who wants no motion.

import { attempt, filmBlob } from "./api.mjs";
import { el, prefers, put } from "./dom.mjs";

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    entry.target.dispatchEvent(new Event("seen"));
  }
}, { rootMargin: "200px" });

/** Whether films stand still; starts as the system asks for. */
export const stillness = {
  on: prefers("(prefers-reduced-motion: reduce)"),
  listeners: new Set(),
  set(on) {
    this.on = on;
    for (const listener of this.listeners) listener();
  },
};

/** A box with the film of an address; `alt` says what it shows. */
export function film(url, alt, signal) {
  const box = el("div", { class: "film", "data-state": "waiting" });
  box.addEventListener("seen", () => attempt(() => load(box, url, alt, signal), (problem) => {
    box.dataset.state = "failed";
    put(box, el("span", { class: "unfilmed" }, problem.message));
  }));
  seen.observe(box);
  signal?.addEventListener("abort", () => seen.unobserve(box));
  return box;
}

async function load(box, url, alt, signal) {
  const blob = await filmBlob(url, signal);
  const source = URL.createObjectURL(blob);
  signal?.addEventListener("abort", () => setTimeout(() => URL.revokeObjectURL(source), 5000));
  if (blob.type.startsWith("video/")) return void show(box, video(source, alt));
  const still = await onePicture(blob, alt);
  const moving = el("img", { src: source, alt });
  const renew = () => show(box, stillness.on && still ? still : moving);
  stillness.listeners.add(renew);
  signal?.addEventListener("abort", () => stillness.listeners.delete(renew));
  renew();
}

function show(box, node) {
  box.dataset.state = "ready";
  put(box, node);
}

function video(source, alt) {
  const given = { src: source, "aria-label": alt, controls: true, loop: true, playsinline: true };
  const node = el("video", given);
  node.muted = true;
  node.autoplay = !stillness.on;
  return node;
}

/** A still of a film: where it ends up, since all skills start alike; null where that fails. */
async function onePicture(blob, alt) {
  try {
    const picture = window.ImageDecoder ? await lastFrame(blob) : await createImageBitmap(blob);
    const canvas = el("canvas", { role: "img", "aria-label": alt });
    [canvas.width, canvas.height] = [picture.displayWidth ?? picture.width, picture.displayHeight ?? picture.height];
    canvas.getContext("2d").drawImage(picture, 0, 0);
    picture.close();
    return canvas;
  } catch {
    return null;
  }
}

async function lastFrame(blob) {
  const decoder = new ImageDecoder({ data: await blob.arrayBuffer(), type: blob.type });
  await decoder.tracks.ready;
  const { image } = await decoder.decode({ frameIndex: decoder.tracks.selectedTrack.frameCount - 1 });
  decoder.close();
  return image;
}

export const filmPath = (run, condition, skill, ending) =>
  `/api/runs/${encodeURIComponent(run.id)}/films/${condition}/${skill}.${ending}`;

/** Films that are videos and a slider of steps go together: either moves the other and `move`. */
export function together(films, slider, steps, move) {
  const videos = () => films.flatMap((box) => [...box.querySelectorAll("video")]);
  slider.addEventListener("input", () => {
    const step = Number(slider.value);
    move(step);
    for (const each of videos().filter((found) => found.duration > 0)) {
      each.pause();
      each.currentTime = (each.duration * step) / Math.max(steps - 1, 1);
    }
  });
  films[0]?.addEventListener("timeupdate", ({ target }) => {
    if (target.paused || !(target.duration > 0)) return;
    move(Math.min(Math.floor((target.currentTime / target.duration) * steps), steps - 1));
  }, true);
}
