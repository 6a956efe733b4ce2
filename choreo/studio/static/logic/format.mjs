// Figures as a person reads them.

const NONE = "–";

export function percent(share) {
  if (!Number.isFinite(share)) return NONE;
  const value = 100 * share;
  return `${value !== 0 && Math.abs(value) < 9.95 ? value.toFixed(1) : Math.round(value)}%`;
}

export function count(value) {
  return Number.isFinite(value) ? Math.round(value).toLocaleString("en") : NONE;
}

/** A number to three digits, without false exactness. */
export function number(value) {
  if (!Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return value.toExponential(1).replace("-", "−");
  const text = size >= 100 ? count(value) : String(Number(value.toPrecision(3)));
  return text.replace("-", "−");
}

/** A tick of an axis: short thousands. */
export function tick(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${number(value / 1e6)}M`;
  return size >= 1e3 ? `${number(value / 1e3)}k` : number(value);
}

export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export function progressText(progress) {
  if (!progress) return "Working";
  const { stage = "Working", done, total } = progress;
  const name = String(stage).charAt(0).toUpperCase() + String(stage).slice(1);
  return total > 0 ? `${name}: ${count(done)} of ${count(total)}` : name;
}

/** How far a piece of work is, from 0 to 1, or null. */
export function share(progress) {
  const known = progress && progress.total > 0 && Number.isFinite(progress.done);
  return known ? Math.min(progress.done / progress.total, 1) : null;
}

export function place(point, axes) {
  if (!point || !Number.isFinite(point[0])) return NONE;
  return `${readable(axes[0])} ${number(point[0])}, ${readable(axes[1])} ${number(point[1])}`;
}

/** A name of the code as words; an environment's id with its suite is typed as it stands. */
export function readable(name) {
  return String(name).includes(":") ? String(name) : String(name).replaceAll("_", " ");
}
