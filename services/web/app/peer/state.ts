// What the page Where to peer shows, as its address has it. Its time is one that bills know: 30 days where nothing is chosen, as the API has it.
import { behind } from '../address';
import type { CandidatesAsked } from '../api/types';
import { month, MONTHS, type Month } from '../month';
import { USUAL as TRAFFIC, read as readTraffic, write as writeTraffic, type Quick, type Range as Any } from '../traffic/state';
import { iso, zoneName, type Zone } from '../zone';

export const SORTS = ['saved', 'in', 'out', 'ratio', 'share', 'trend'] as const;
export type Sort = (typeof SORTS)[number];
export const QUICK = ['24h', '7d', '30d'] as const satisfies readonly Quick[];
export type Range = { last: (typeof QUICK)[number] } | { month: Month } | Exclude<Any, { last: Quick }>;

export interface State {
  range: Range;
  filter: string;
  sort: Sort;
  up: boolean;
  top: number;
  zone: Zone;
  hidden: boolean;
  open: string[];
}

const USUAL_LAST = '30d';
export const USUAL: State = { range: { last: USUAL_LAST }, filter: '', sort: 'saved', up: false, top: 25, zone: 'local', hidden: false, open: [] };

function range(search: URLSearchParams, read: Any): Range {
  if ('from' in read) return read;
  const chosen = MONTHS.find((one) => one === search.get('month'));
  if (chosen) return { month: chosen };
  return { last: QUICK.find((one) => one === search.get('last')) ?? USUAL_LAST };
}

export function read(search: URLSearchParams): State {
  const { range: of, filter, top, zone, open } = readTraffic(search);
  return {
    range: range(search, of),
    sort: SORTS.find((sort) => sort === search.get('sort')) ?? USUAL.sort,
    up: search.get('order') === 'up',
    hidden: search.has('hidden'),
    ...{ filter, top, zone, open },
  };
}

export function write({ range, filter, sort, up, top, zone, hidden, open }: State): string {
  const time: [string, string][] = 'month' in range ? [['month', range.month]] : 'last' in range && range.last !== USUAL_LAST ? [['last', range.last]] : [];
  const rest = writeTraffic({ ...TRAFFIC, ...{ filter, top, zone, open }, range: 'from' in range ? range : TRAFFIC.range });
  const search = new URLSearchParams([...time, ...new URLSearchParams(rest)]);
  if (sort !== USUAL.sort) search.set('sort', sort);
  if (up) search.set('order', 'up');
  if (hidden) search.set('hidden', '1');
  return behind(search);
}

export function asked({ range, filter, top, zone }: State, now = new Date()): CandidatesAsked {
  const rest = { zone: zoneName(zone), top, ...(filter.trim() === '' ? {} : { filter }) };
  if ('last' in range) return { last: range.last, ...rest };
  const { from, to } = 'month' in range ? month(range.month, now, zone) : range;
  return { from: iso(from), to: iso(to), ...rest };
}
