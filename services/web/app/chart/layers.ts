// Rows with series, made into layers of a stacked chart.
import { isSomebody } from '../asn';
import type { Answer, Row } from '../api/types';
import { paints, type Paint } from '../colours';
import { rate } from '../format';
import type { Direction } from '../traffic/state';

export interface Layer {
  name: string;
  paint: Paint;
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
export const OTHER: Paint = { colour: 'var(--other)', hatched: false };
/** Its shade where it is thin. */
export const GREY = 'var(--grey)';

/** The paints of rows that are layers of their own. */
export function rowPaints(rows: readonly Row[]): Map<string, Paint> {
  const keys = rows.slice(0, MOST).map((row) => row.keys[0] ?? '');
  return paints(keys.filter(isSomebody));
}

/** Starts of slots and the end of the last. Those that have not begun have no traffic yet, and none is drawn for them. */
export function slotsOf({ series, from, to, seconds }: Answer): number[] {
  const end = Math.min(from + seconds, to);
  const starts = (series?.starts ?? []).filter((start) => start < end);
  return starts.length === 0 ? [] : [...starts, end];
}

/** Bits a second in each slot: the first and the last one may be shorter than the others. */
export function ratesIn(borders: readonly number[], bytes: readonly number[] | undefined): number[] {
  return borders.slice(1).map((end, at) => rate(bytes?.[at] ?? 0, end - (borders[at] ?? end)));
}

export function layersOf(answer: Answer): Layers | null {
  const borders = slotsOf(answer);
  if (borders.length === 0) return null;
  const values = (amounts: readonly number[] | undefined): number[] => ratesIn(borders, amounts);
  const painted = rowPaints(answer.rows);
  const layer = (row: Row): Layer => {
    const key = row.keys[0] ?? '';
    return { name: key, paint: painted.get(key) ?? OTHER, in: values(row.series?.bytes_in), out: values(row.series?.bytes_out) };
  };
  const own = answer.rows.slice(0, MOST).map(layer);
  const unnamed = [...answer.rows.slice(MOST), ...(answer.other ? [answer.other] : [])];
  const rest = unnamed.filter((row) => row.bytes_in + row.bytes_out > 0).map(layer);
  const other: Layer = { name: 'All other', paint: OTHER, in: sum(rest, 'in'), out: sum(rest, 'out') };
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
