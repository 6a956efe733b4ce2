// Colours: one scale for shares that colour-blind readers can order, one hue per skill.

// Cividis (Nunez, Anderton, Renslow 2018) at equal distances.
const CIVIDIS = [
  [0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115],
  [138, 134, 120], [165, 156, 116], [195, 179, 105], [225, 204, 85], [254, 232, 56],
];

export const IDLE = [154, 165, 177];

/** The colour (r, g, b) of a share from 0 to 1; grey where there is none. */
export function shareColour(share) {
  if (share === null || share === undefined || !Number.isFinite(share)) return IDLE;
  const place = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1);
  const low = Math.min(Math.floor(place), CIVIDIS.length - 2);
  const rest = place - low;
  return CIVIDIS[low].map((value, n) => Math.round(value + rest * (CIVIDIS[low + 1][n] - value)));
}

/** A colour for a skill: neighbours in number are far apart in hue. Numbers always stand by it. */
export function skillColour(skill, dark = false) {
  const hue = (skill * 137.508) % 360;
  const lightness = (dark ? 62 : 42) + (skill % 3) * 5;
  return `hsl(${hue.toFixed(1)} 52% ${lightness}%)`;
}

export function css([red, green, blue]) {
  return `rgb(${red} ${green} ${blue})`;
}

/** Relative luminance of sRGB (WCAG 2.2). */
export function luminance(colour) {
  const [red, green, blue] = colour.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

export function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

const BLACK = [0, 0, 0];
const WHITE = [255, 255, 255];

/** Black or white, whichever is easier to read on a colour. */
export function inkOn(colour) {
  return contrast(colour, BLACK) > contrast(colour, WHITE) ? BLACK : WHITE;
}
