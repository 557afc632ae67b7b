// Since when anything is stored. Before that nothing was measured: it is no time without traffic, and averages and percentiles of it would be too low.
import type { Outcome } from './api/client';
import type { Answer } from './api/types';
import { stamp, type Zone } from './zone';

/** A percentile is of slots so long, seconds, and one of too few says nothing. */
const LEAST = 600;

type Time = Pick<Answer, 'from' | 'to' | 'stored_from'>;

/** Where a time begins before anything was stored: when that was; else nothing. */
export function begins({ from, to, stored_from }: Time): number | null {
  return typeof stored_from === 'number' && from < stored_from && stored_from < to ? stored_from : null;
}

/** Asks of a time, and once more of what is stored of it where that is not all: a percentile of a month that is mostly older than the first flow would be
 * nothing. */
export async function ofStored<T extends Time>(ask: (instead: { from: number; to: number } | null) => Promise<Outcome<T>>): Promise<Outcome<T>> {
  const first = await ask(null);
  if (!first.ok) return first;
  const from = begins(first.value);
  const { to } = first.value;
  return from !== null && to - from >= LEAST ? ask({ from, to }) : first;
}

/** Whether all of a time before another one is stored, so that both can be compared. */
export function covered(before: { from: number }, { stored_from }: Pick<Answer, 'stored_from'>): boolean {
  return typeof stored_from === 'number' && before.from >= stored_from;
}

/** "since 26 Nov 2026, 18:00". */
export function since(seconds: number, zone: Zone): string {
  return `since ${stamp(seconds, zone)}`;
}
