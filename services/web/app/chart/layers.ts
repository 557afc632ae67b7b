// Rows with series, made into layers of a stacked chart.
import { isSomebody } from '../asn';
import type { Answer, Row } from '../api/types';
import { colours } from '../colours';
import { rate } from '../format';
import type { Direction } from '../traffic/state';

export interface Layer {
  name: string;
  colour: string;
  /** Bits a second in each slot. */
  in: number[];
  out: number[];
}

export interface Layers {
  /** Starts of slots and the end of the last, seconds since the epoch. */
  borders: number[];
  /** The end that was asked for, which may lie ahead. */
  to: number;
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
  const end = Math.min(answer.from + answer.seconds, answer.to);
  // Slots that have not begun have no traffic yet, and none is drawn for them.
  const starts = series.starts.filter((start) => start < end);
  const borders = [...starts, end];
  const values = (amounts: readonly number[] | undefined): number[] =>
    starts.map((start, at) => rate(amounts?.[at] ?? 0, (borders[at + 1] ?? end) - start));
  const colour = rowColours(answer.rows);
  const layer = (row: Row): Layer => {
    const key = row.keys[0] ?? '';
    return { name: key, colour: colour.get(key) ?? OTHER, in: values(row.series?.bytes_in), out: values(row.series?.bytes_out) };
  };
  const own = answer.rows.slice(0, MOST).map(layer);
  const unnamed = [...answer.rows.slice(MOST), ...(answer.other ? [answer.other] : [])];
  const rest = unnamed.filter((row) => row.bytes_in + row.bytes_out > 0).map(layer);
  const other: Layer = { name: 'All other', colour: OTHER, in: sum(rest, 'in'), out: sum(rest, 'out') };
  return { borders, to: answer.to, layers: rest.length > 0 ? [...own, other] : own };
}

/** The time at the end of which flows may still come. */
export function growing(answer: Answer): { from: number; to: number } {
  const to = answer.from + answer.seconds;
  return { from: to - answer.incomplete_seconds, to };
}

function sum(layers: readonly Layer[], side: 'in' | 'out'): number[] {
  return (layers[0]?.[side] ?? []).map((_, at) => layers.reduce((all, one) => all + (one[side][at] ?? 0), 0));
}

/** Heights of areas, each on top of those before it: in above the axis, out below it. What is drawn later covers what was drawn before. */
export function stacked({ layers }: Layers, direction: Direction): { layer: Layer; heights: number[] }[] {
  const sides = direction === 'both' ? (['in', 'out'] as const) : ([direction] as const);
  return sides.flatMap((side) => {
    const sign = direction === 'both' && side === 'out' ? -1 : 1;
    const below: number[] = [];
    const areas = layers.map((layer) => ({
      layer,
      heights: layer[side].map((value, at) => (below[at] = (below[at] ?? 0) + sign * value)),
    }));
    return areas.reverse();
  });
}
