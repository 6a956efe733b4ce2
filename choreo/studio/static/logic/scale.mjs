// From coordinates of the agent to points on the page.

/** Limits ({x0, x1, y0, y1}) of points [[x, y], ..], with room around them. */
export function limits(points, room = 0.06) {
  const good = points.filter(isPoint);
  if (good.length === 0) return { x0: -1, x1: 1, y0: -1, y1: 1 };
  const [x0, x1] = widened(good.map((p) => p[0]), room);
  const [y0, y1] = widened(good.map((p) => p[1]), room);
  return { x0, x1, y0, y1 };
}

export function isPoint(point) {
  return Array.isArray(point) && Number.isFinite(point[0]) && Number.isFinite(point[1]);
}

/** A point in digits that count on a map: to a power of ten of a thousandth of each side or more. */
export function settledAt([x, y], { x0, x1, y0, y1 }) {
  const near = (value, size) => {
    const digits = -Math.ceil(Math.log10(size / 1000));
    return digits > 0 ? Number(value.toFixed(Math.min(digits, 100))) + 0 : Math.round(value);
  };
  return [near(x, x1 - x0), near(y, y1 - y0)];
}

function widened(values, room) {
  let low = values[0];
  let high = values[0];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const size = high - low || Math.abs(high) || 1;
  return [low - room * size, high + room * size];
}

/** Limits that hold all `ends`, and of the paths the middle nine tenths each way. */
export function coreLimits(ends, passed, room = 0.06) {
  const good = passed.filter(isPoint);
  const core = [0, 1].map((axis) => good.map((point) => point[axis]).sort((a, b) => a - b));
  const at = (values, share) => values[Math.round(share * (values.length - 1))];
  const corners = good.length ? [0.05, 0.95].map((share) => core.map((values) => at(values, share))) : [];
  return limits([...ends, ...corners], room);
}

/** A linear map from [a, b] to [c, d], with its inverse. */
export function linear([a, b], [c, d]) {
  const slope = (d - c) / (b - a || 1);
  const map = (value) => c + (value - a) * slope;
  map.back = (place) => a + (place - c) / (slope || 1);
  return map;
}

/** Maps of both axes into a box; y grows upwards. Metres stay square where `square`. */
export function plane(area, box, square = false) {
  const fit = square ? squared(area, box) : area;
  return {
    x: linear([fit.x0, fit.x1], [box.left, box.left + box.width]),
    y: linear([fit.y0, fit.y1], [box.top + box.height, box.top]),
    area: fit,
  };
}

function squared(area, box) {
  const unit = Math.max((area.x1 - area.x0) / box.width, (area.y1 - area.y0) / box.height);
  const [x, y] = [(area.x0 + area.x1) / 2, (area.y0 + area.y1) / 2];
  const [w, h] = [(unit * box.width) / 2, (unit * box.height) / 2];
  return { x0: x - w, x1: x + w, y0: y - h, y1: y + h };
}

/** Round numbers within limits, about so many. */
export function ticks(low, high, about = 5) {
  if (!(high > low)) return [low];
  const raw = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((times) => times * power >= raw) * power;
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) {
    found.push(Number((n * step).toPrecision(12)));
  }
  return found;
}

/** The `d` of a line through points; a missing one breaks it, and so does going round an angle (`round`). */
export function lineThrough(points, x, y, round) {
  let pen = "M";
  let last = null;
  let drawn = "";
  for (const point of points) {
    if (!isPoint(point)) {
      pen = "M";
      continue;
    }
    if (last && [0, 1].some((n) => round[n] && Math.abs(point[n] - last[n]) > Math.PI)) pen = "M";
    last = point;
    drawn += `${pen}${x(point[0]).toFixed(1)} ${y(point[1]).toFixed(1)}`;
    pen = "L";
  }
  return drawn;
}

const TOWARDS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** The place in `points` a key leads to: arrows go near that side, Page Up and Down by number. */
export function neighbour(points, from, key) {
  const jumps = { Home: 0, End: points.length - 1, PageUp: from - 1, PageDown: from + 1 };
  if (key in jumps) return Math.min(Math.max(jumps[key], 0), points.length - 1);
  const [dx, dy] = TOWARDS[key];
  const area = limits(points, 0);
  const [w, h] = [area.x1 - area.x0 || 1, area.y1 - area.y0 || 1];
  let best = from;
  let least = Infinity;
  points.forEach((point, n) => {
    const [x, y] = [(point[0] - points[from][0]) / w, (point[1] - points[from][1]) / h];
    const ahead = x * dx + y * dy;
    const aside = Math.abs(x * dy) + Math.abs(y * dx);
    const cost = ahead + 2 * aside;
    if (n !== from && ahead > 1e-9 && cost < least) [best, least] = [n, cost];
  });
  return best;
}
