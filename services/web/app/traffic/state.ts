// What the page Traffic by AS shows, as its address has it. What is as usual is not in the address; what makes no sense there is as usual.
import { behind } from '../address';
import { compact, type Zone } from '../zone';

export const QUICK = ['1h', '6h', '24h', '7d', '30d'] as const;
export const CONNECTIVITIES = ['transit', 'ix', 'pni', 'customer'] as const;
export const TOPS = [10, 25, 50, 100] as const;

export type Quick = (typeof QUICK)[number];
export type Connectivity = (typeof CONNECTIVITIES)[number];
export type Range = { last: Quick } | { from: number; to: number };
export type Direction = 'both' | 'in' | 'out';

export interface State {
  range: Range;
  by: 'as' | 'neighbour';
  direction: Direction;
  connectivity: Connectivity[];
  provider: string | null;
  exporter: string | null;
  filter: string;
  everywhere: boolean;
  top: number;
  zone: Zone;
  /** ASes whose links are shown. */
  open: string[];
}

export const USUAL: State = {
  range: { last: '24h' },
  by: 'as',
  direction: 'both',
  connectivity: [],
  provider: null,
  exporter: null,
  filter: '',
  everywhere: false,
  top: 25,
  zone: 'local',
  open: [],
};

function one<T extends string>(text: string | null, of: readonly T[], usual: T): T {
  return of.find((word) => word === text) ?? usual;
}

function minute(text: string | null): number | null {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d)(\d\d)Z$/.exec(text ?? '');
  if (!match) return null;
  const time = Date.parse(`${match[1] ?? ''}-${match[2] ?? ''}-${match[3] ?? ''}T${match[4] ?? ''}:${match[5] ?? ''}:00Z`);
  return Number.isNaN(time) ? null : time / 1000;
}

function range(search: URLSearchParams): Range {
  const [from, to] = [minute(search.get('from')), minute(search.get('to'))];
  return from !== null && to !== null ? { from, to } : { last: one(search.get('last'), QUICK, '24h') };
}

export function read(search: URLSearchParams): State {
  const words = (name: string) => (search.get(name) ?? '').split(',').filter((word) => word !== '');
  return {
    range: range(search),
    by: one(search.get('by'), ['as', 'neighbour'], 'as'),
    direction: one(search.get('direction'), ['both', 'in', 'out'], 'both'),
    connectivity: CONNECTIVITIES.filter((word) => words('connectivity').includes(word)),
    provider: search.get('provider'),
    exporter: search.get('exporter'),
    filter: search.get('filter') ?? '',
    everywhere: search.get('scope') === 'all',
    top: TOPS.find((top) => String(top) === search.get('top')) ?? USUAL.top,
    zone: search.get('zone') === 'utc' ? 'utc' : 'local',
    open: words('open').filter((word) => /^\d+$/.test(word)),
  };
}

/** The part of an address behind `?`, with the mark; nothing where all is as usual. */
export function write(state: State): string {
  const search = new URLSearchParams();
  const put = (name: string, value: string, usual: string) => {
    if (value !== usual) search.set(name, value);
  };
  if ('last' in state.range) put('last', state.range.last, '24h');
  else {
    search.set('from', compact(state.range.from));
    search.set('to', compact(state.range.to));
  }
  put('by', state.by, USUAL.by);
  put('direction', state.direction, USUAL.direction);
  put('connectivity', state.connectivity.join(','), '');
  if (state.provider !== null) search.set('provider', state.provider);
  if (state.exporter !== null) search.set('exporter', state.exporter);
  put('filter', state.filter, '');
  put('scope', state.everywhere ? 'all' : '', '');
  put('top', String(state.top), String(USUAL.top));
  put('zone', state.zone, 'local');
  put('open', state.open.join(','), '');
  return behind(search);
}

/** What goes along to pages that show the same traffic otherwise: the time, and which links count. */
export function along({ range, zone, connectivity, everywhere }: Pick<State, 'range' | 'zone' | 'connectivity' | 'everywhere'>): State {
  return { ...USUAL, range, zone, connectivity, everywhere };
}
