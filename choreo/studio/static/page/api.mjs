// Talking with the server: JSON, jobs that take a while, films, sockets.

import { parse, patience } from "../logic/protocol.mjs";

/** What went wrong, and what to do. */
export class Problem extends Error {
  constructor(message, advice = "", status = 0) {
    super(message);
    this.advice = advice;
    this.status = status;
  }
}

const UNREACHED = "The studio does not answer.";
const LOOK = "See whether the command still runs in its terminal, start it again, then try again.";

async function reach(path, options) {
  try {
    return await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(UNREACHED, LOOK);
  }
}

async function read(response) {
  const body = await response.json().catch(() => null);
  if (!response.ok) throw problem(body, response.status);
  return body;
}

function problem(body, status = 0) {
  const found = typeof body === "string" ? { error: body } : (body ?? {});
  const message = found.error ?? found.what ?? `The studio answered with ${status}.`;
  const advice = status === 401 ? "Open the address with the token that the command printed." : LOOK;
  return new Problem(message, found.do ?? (found.error ? "" : advice), status);
}

export async function get(path, signal) {
  return read(await reach(path, { signal }));
}

export async function post(path, body, signal) {
  const file = body instanceof Blob;
  const headers = { "Content-Type": file ? body.type : "application/json" };
  const sent = file ? body : JSON.stringify(body);
  return read(await reach(path, { method: "POST", headers, body: sent, signal }));
}

/** Ask until it is done; `tell` hears of progress. Gives the answer that is ready. */
export async function wait(path, signal, tell = () => {}) {
  for (let tries = 0; ; tries++) {
    const found = await get(path, signal);
    if (found.state === "failed") throw problem(found.error);
    if (found.state === "ready" || found.state === undefined) return found;
    tell(found.progress);
    await pause(patience(tries, 120, 1500), signal);
  }
}

/** Post a piece of work and wait for its result. */
export async function work(path, body, signal, tell) {
  return finish(await post(path, body, signal), signal, tell);
}

/** The result of a job that has begun, or that is there already. */
export async function finish(begun, signal, tell) {
  if (begun.state === "failed") throw problem(begun.error);
  if (begun.result && begun.state !== "working") return begun.result;
  return (await wait(`/api/jobs/${encodeURIComponent(begun.job)}`, signal, tell)).result;
}

export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("left", "AbortError"));
    });
  });
}

/** Run something that may be left half way; a problem goes to `failed`. */
export async function attempt(act, failed) {
  try {
    return await act();
  } catch (error) {
    if (error.name !== "AbortError") failed(error);
    return undefined;
  }
}

const MOST_AT_ONCE = 4;
let going = 0;
const queue = [];

async function turn() {
  if (going >= MOST_AT_ONCE) await new Promise((resolve) => queue.push(resolve));
  going++;
}

function done() {
  going--;
  queue.shift()?.();
}

/** A film as a blob, as soon as the server has made it. */
export async function filmBlob(url, signal) {
  for (let tries = 0; ; tries++) {
    await turn();
    try {
      signal?.throwIfAborted();
      const response = await reach(url, { signal });
      if (response.status === 200) return await response.blob();
      if (response.status !== 202) await read(response);
    } finally {
      done();
    }
    await pause(patience(tries, 400, 4000), signal);
  }
}

export function openSocket(path) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}${path}`);
  socket.binaryType = "blob";
  return socket;
}

/** Close a socket; one that is still connecting is closed once it stands, which is no error. */
export function leaveSocket(socket) {
  if (socket?.readyState === WebSocket.CONNECTING) socket.addEventListener("open", () => socket.close());
  else socket?.close();
}

/** The path of a piece of work under the condition that a view shows. */
export const workPath = (ctx, rest) => runPath(ctx.run, `${rest}?condition=${ctx.condition}`);

export const runPath = (run, rest) => `/api/runs/${encodeURIComponent(run.id)}/${rest}`;

/** Listen to a run until `signal`; a lost connection is taken up again, ever more slowly. */
export function watch(run, hear, signal) {
  let tries = 0;
  const open = () => {
    const socket = openSocket(runPath(run, "watch"));
    const leave = () => leaveSocket(socket);
    socket.addEventListener("message", (event) => {
      tries = 0;
      const message = parse(event.data);
      if (message) hear(message);
    });
    socket.addEventListener("close", () => {
      signal.removeEventListener("abort", leave);
      if (!signal.aborted) setTimeout(() => signal.aborted || open(), patience(tries++, 1000, 20000));
    });
    signal.addEventListener("abort", leave);
  };
  open();
}

/** Signals for what is drawn again and again: each ends with the next one, or with `signal`. */
export function renewable(signal) {
  let last = new AbortController();
  signal.addEventListener("abort", () => last.abort());
  return () => {
    last.abort();
    last = new AbortController();
    if (signal.aborted) last.abort();
    return last.signal;
  };
}
