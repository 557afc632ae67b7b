// Rows with series, made into layers of a stacked chart.
import { isSomebody } from '../asn';
import type { Answer, Row } from '../api/types';
import { colours } from '../colours';
import { rate } from '../format';
import type { Direction } from '../traffic/state';

/** Bits a second in each slot; `null` where a slot has not begun. */
export type Values = (number | null)[];

export interface Layer {
  name: string;
  colour: string;
  in: Values;
  out: Values;
}

export interface Layers {
  /** Starts of slots and the end of the last, seconds since the epoch. */
  borders: number[];
  /** The largest first; what is not a row of its own last. */
  layers: Layer[];
}

/** More areas than this can't be told apart. */
export const MOST = 10;
export const OTHER = 'var(--other)';
/** Its shade where it is thin. */
export const GREY = 'var(--grey)';

/** The colours of rows that are layers of their own. */
export function rowColours(rows: readonly Row[]): Map<string, string> {
  const keys = rows.slice(0, MOST).map((row) => row.keys[0] ?? '');
  return colours(keys.filter(isSomebody));
}

export function layersOf(answer: Answer): Layers | null {
  const { series } = answer;
  if (!series || series.starts.length === 0) return null;
  const end = answer.from + answer.seconds;
  const borders = [...series.starts, answer.to];
  const lengths = series.starts.map((start, at) => Math.min(borders[at + 1] ?? end, end) - start);
  const values = (amounts: readonly number[] | undefined): Values =>
    lengths.map((length, at) => (length > 0 ? rate(amounts?.[at] ?? 0, length) : null));
  const colour = rowColours(answer.rows);
  const layer = (row: Row): Layer => {
    const key = row.keys[0] ?? '';
    return { name: key, colour: colour.get(key) ?? OTHER, in: values(row.series?.bytes_in), out: values(row.series?.bytes_out) };
  };
  const own = answer.rows.slice(0, MOST).map(layer);
  const unnamed = [...answer.rows.slice(MOST), ...(answer.other ? [answer.other] : [])];
  const rest = unnamed.filter((row) => row.bytes_in + row.bytes_out > 0).map(layer);
  const other: Layer = { name: 'All other', colour: OTHER, in: sum(rest, 'in'), out: sum(rest, 'out') };
  return { borders, layers: rest.length > 0 ? [...own, other] : own };
}

/** The time at the end of which flows may still come. */
export function growing(answer: Answer): { from: number; to: number } {
  const to = answer.from + answer.seconds;
  return { from: to - answer.incomplete_seconds, to };
}

function sum(layers: readonly Layer[], side: 'in' | 'out'): Values {
  const first = layers[0]?.[side] ?? [];
  return first.map((value, at) => (value === null ? null : layers.reduce((all, one) => all + (one[side][at] ?? 0), 0)));
}

/** Heights of areas, each on top of those before it: in above the axis, out below it. What is drawn later covers what was drawn before. */
export function stacked({ layers }: Layers, direction: Direction): { layer: Layer; heights: Values }[] {
  const sides = direction === 'both' ? (['in', 'out'] as const) : ([direction] as const);
  return sides.flatMap((side) => {
    const sign = direction === 'both' && side === 'out' ? -1 : 1;
    const below: number[] = [];
    const areas = layers.map((layer) => ({
      layer,
      heights: layer[side].map((value, at) => {
        if (value === null) return null;
        below[at] = (below[at] ?? 0) + sign * value;
        return below[at];
      }),
    }));
    return areas.reverse();
  });
}
