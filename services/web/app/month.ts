// Calendar months, as bills are made of them.
import type { Zone } from './zone';

/** Answers end so many seconds ago, because flows come after they end. */
const LATE = 120;

export const MONTHS = ['this', 'last'] as const;
export type Month = (typeof MONTHS)[number];

/** From the first of a month to its end, or to what can be answered by now: seconds since the epoch. */
export function month(which: Month, now: Date, zone: Zone): { from: number; to: number } {
  const [year, at] = zone === 'utc' ? [now.getUTCFullYear(), now.getUTCMonth()] : [now.getFullYear(), now.getMonth()];
  const first = (of: number) => (zone === 'utc' ? Date.UTC(year, of, 1) : new Date(year, of, 1).getTime()) / 1000;
  if (which === 'last') return { from: first(at - 1), to: first(at) };
  return { from: first(at), to: Math.max(Math.floor((now.getTime() / 1000 - LATE) / 60) * 60, first(at)) };
}
