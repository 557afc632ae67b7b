// Numbers of an AS that a network could peer with, and their order.
import type { Candidate, Candidates } from '../api/types';
import { rate } from '../format';
import { covered } from '../since';
import type { Sort, State } from './state';

/** A slot of which percentiles are, seconds. */
const SLOT = 300;

/** Bits a second of bytes in a slot. */
export function ofSlot(bytes: number): number {
  return rate(bytes, SLOT);
}

export function rough(one: Candidate): boolean {
  return one.saved > 0 && one.transits.some((transit) => transit.rough && transit.saved > 0);
}

const both = (one: { bytes_in: number; bytes_out: number }) => one.bytes_in + one.bytes_out;

/** The part of its traffic at the border that comes and goes over transit; nothing where that is not told. */
export function share(one: Candidate): number | null {
  return one.bytes_boundary > 0 ? Math.min(both(one) / one.bytes_boundary, 1) : null;
}

export interface Trend {
  now: number;
  before: number;
  /** Whether both may well be the same: their intervals meet. */
  unsure: boolean;
}

/** Whether there is a time before to compare with. */
export function compared(all: Candidates): boolean {
  return all.previous_seconds > 0 && covered({ from: all.from - all.previous_seconds }, all);
}

/** Bits a second over transit against the time before; nothing where not all of that is stored. */
export function trend(one: Candidate, all: Candidates): Trend | null {
  const { previous } = one;
  if (!previous || !compared(all)) return null;
  const [now, before] = [(bytes: number) => rate(bytes, all.seconds), (bytes: number) => rate(bytes, all.previous_seconds)];
  return {
    now: now(both(one)),
    before: before(both(previous)),
    unsure: now(one.low_in + one.low_out) <= before(previous.high_in + previous.high_out) && before(previous.low_in + previous.low_out) <= now(one.high_in + one.high_out),
  };
}

/** What rows are sorted by; what is not known stands last. */
function value(one: Candidate, all: Candidates, sort: Sort): number | null {
  switch (sort) {
    case 'saved':
      return one.saved;
    case 'in':
      return one.bytes_in;
    case 'out':
      return one.bytes_out;
    case 'ratio':
      return both(one) === 0 ? null : one.bytes_in / Math.max(one.bytes_out, 1e-9);
    case 'share':
      return share(one);
    case 'trend': {
      const of = trend(one, all);
      return of && of.now / Math.max(of.before, 1e-9);
    }
  }
}

export function sorted(all: Candidates, { sort, up }: Pick<State, 'sort' | 'up'>): Candidate[] {
  const values = new Map(all.candidates.map((one) => [one, value(one, all, sort)]));
  return [...all.candidates].sort((one, other) => {
    const [a, b] = [values.get(one) ?? null, values.get(other) ?? null];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    return up ? a - b : b - a;
  });
}
