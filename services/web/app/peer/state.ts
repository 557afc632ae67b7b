// What the page Where to peer shows, as its address has it.
import type { CandidatesAsked } from '../api/types';
import { USUAL as TRAFFIC, read as readTraffic, write as writeTraffic, type Quick, type Range } from '../traffic/state';
import { zoneName, type Zone } from '../zone';

export const SORTS = ['saved', 'in', 'out', 'ratio', 'share', 'trend'] as const;
export type Sort = (typeof SORTS)[number];
export const QUICK: readonly Quick[] = ['24h', '7d', '30d'];

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

export const USUAL: State = { range: { last: '24h' }, filter: '', sort: 'saved', up: false, top: 25, zone: 'local', hidden: false, open: [] };

export function read(search: URLSearchParams): State {
  const { range, filter, top, zone, open } = readTraffic(search);
  return {
    range: 'last' in range && !QUICK.includes(range.last) ? USUAL.range : search.has('last') || 'from' in range ? range : USUAL.range,
    sort: SORTS.find((sort) => sort === search.get('sort')) ?? USUAL.sort,
    up: search.get('order') === 'up',
    hidden: search.has('hidden'),
    ...{ filter, top, zone, open },
  };
}

export function write({ range, filter, sort, up, top, zone, hidden, open }: State): string {
  const usual = 'last' in range && range.last === '24h';
  const search = new URLSearchParams(writeTraffic({ ...TRAFFIC, ...{ filter, top, zone, open }, range: usual ? TRAFFIC.range : range }));
  if (sort !== USUAL.sort) search.set('sort', sort);
  if (up) search.set('order', 'up');
  if (hidden) search.set('hidden', '1');
  const text = search.toString().replaceAll('%2C', ',');
  return text === '' ? '' : `?${text}`;
}

const iso = (seconds: number) => new Date(seconds * 1000).toISOString().replace('.000', '');

export function asked({ range, filter, top, zone }: State): CandidatesAsked {
  const bounds = 'last' in range ? { last: range.last } : { from: iso(range.from), to: iso(range.to) };
  return { ...bounds, zone: zoneName(zone), top, ...(filter.trim() === '' ? {} : { filter }) };
}
