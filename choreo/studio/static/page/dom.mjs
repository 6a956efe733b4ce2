// Making elements. Text only ever becomes text: there is no way here to pass markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element; `on` holds listeners, `css` style properties, the rest attributes. */
export function el(tag, given = {}, ...children) {
  return fill(document.createElement(tag), given, children);
}

export function svg(tag, given = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), given, children);
}

function fill(node, { on = {}, css = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) attribute(node, name, value);
  for (const [name, value] of Object.entries(css)) node.style.setProperty(name, value);
  for (const [name, listener] of Object.entries(on)) node.addEventListener(name, listener);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function attribute(node, name, value) {
  if (name === "value" || name === "checked" || name === "disabled") node[name] = value;
  else if (value === true) node.setAttribute(name, "");
  else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
}

export function put(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child));
  return node;
}

export function button(text, act, given = {}) {
  return el("button", { type: "button", ...given, on: { click: act } }, text);
}

/** A labelled field; the label stands above the control. */
export function field(label, control, hint = null) {
  return el("label", { class: "field" }, el("span", {}, label), control, hint && el("small", {}, hint));
}

export function select(options, value, change, given = {}) {
  const parts = options.map(([name, text]) => el("option", { value: name }, text));
  const node = el("select", { ...given, on: { change: () => change(node.value) } }, parts);
  node.value = value;
  return node;
}

export function numberInput(value, low, high, change, given = {}) {
  const limits = { type: "number", inputmode: "numeric", min: low, max: high, step: 1 };
  const node = el("input", { ...limits, value, ...given });
  node.addEventListener("change", () => {
    const found = Math.round(Number(node.value));
    node.value = Number.isFinite(found) ? Math.min(Math.max(found, low), high) : value;
    change(Number(node.value));
  });
  return node;
}

let names = 0;

/** Radio buttons that look like one switch; an option [value, text, why] cannot be chosen. */
export function choice(legend, options, value, change) {
  const name = `choice-${names++}`;
  const parts = options.map(([option, text, why = null]) => {
    const radio = el("input", { type: "radio", name, value: option, checked: option === value, disabled: Boolean(why) });
    radio.addEventListener("change", () => change(option));
    return el("label", { title: why }, radio, el("span", {}, text));
  });
  return el("fieldset", { class: "choice" }, el("legend", { class: "unseen" }, legend), parts);
}

/** A drawing that is made anew for every width of its box; `draw(width)` gives the SVG. */
export function fitted(draw, given = {}, signal = null) {
  const box = el("div", { class: "drawing", ...given });
  let width = 0;
  box.redraw = () => width > 0 && put(box, draw(width));
  const observer = new ResizeObserver(([entry]) => {
    const found = Math.floor(entry.contentRect.width);
    if (found === width) return;
    width = found;
    requestAnimationFrame(box.redraw); // not at once: that could resize what is being observed
  });
  observer.observe(box);
  signal?.addEventListener("abort", () => observer.disconnect());
  return box;
}

export function prefers(what) {
  return window.matchMedia(what).matches;
}

export const isDark = () => prefers("(prefers-color-scheme: dark)");

/** Say something to a screen reader, once. */
export function announce(text) {
  document.getElementById("said").textContent = text;
}
