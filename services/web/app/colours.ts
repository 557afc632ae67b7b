// A colour for each AS, the same in every chart and on every day. The palette is of Okabe and Ito and of Tol, made for colour-blind eyes;
// names stand beside colours wherever they are used.

const PALETTE = [
  '#0072b2',
  '#e69f00',
  '#009e73',
  '#cc79a7',
  '#56b4e9',
  '#d55e00',
  '#7a5fc0',
  '#b8b04a',
  '#a33b6f',
  '#44aa99',
  '#cc6677',
  '#5d7f2e',
  '#8c6d4f',
  '#8fb7d9',
];

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}

/** Colours for the keys of one chart: each its own, or the next one that is free. What comes first in the alphabet has the first choice, so
 * that ranks may change and colours stay. */
export function colours(keys: readonly string[]): Map<string, string> {
  const taken = new Set<number>();
  const of = new Map<string, string>();
  for (const key of [...keys].sort()) {
    let place = hash(key) % PALETTE.length;
    for (let tries = 0; taken.has(place) && tries < PALETTE.length; tries += 1) place = (place + 1) % PALETTE.length;
    taken.add(place);
    of.set(key, PALETTE[place] ?? '');
  }
  return of;
}
