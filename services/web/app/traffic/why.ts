// Why a question has no rows: so that what is said of it is true, and what to do about it helps.
import type { Answer } from '../api/types';
import type { State } from './state';

/** What of an answer is not in its numbers. */
type NotCounted = Pick<Answer, 'unknown_rate' | 'other_observation'>;

export type Why =
  /** Something was stored, but it has no sampling rate, or was observed where it does not count. */
  | 'uncounted'
  /** Filters leave out what there is, or there is nothing without them either. */
  | 'filtered'
  /** Of no interface is it known what it is for. */
  | 'unclassified'
  /** There is traffic, but only within the network or to customers. */
  | 'inside'
  | 'nothing';

export function uncounted(answer: NotCounted): boolean {
  return [...answer.unknown_rate, ...answer.other_observation].some((one) => one.bytes + one.bytes_unknown_rate > 0);
}

export function filtered(state: State): boolean {
  return state.filter !== '' || state.connectivity.length > 0 || state.provider !== null || state.exporter !== null;
}

/** `all`: by what links are for, of all interfaces and without filters. */
export function why(state: State, answer: NotCounted, all: NotCounted & Pick<Answer, 'rows'>): Why {
  if (uncounted(answer)) return 'uncounted';
  if (filtered(state)) return 'filtered';
  if (all.rows.length > 0 && !state.everywhere) return all.rows.every((row) => row.keys[0] === 'unknown') ? 'unclassified' : 'inside';
  return uncounted(all) ? 'uncounted' : 'nothing';
}
