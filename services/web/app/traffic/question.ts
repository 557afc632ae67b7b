// What is asked of the API for what the page shows.
import type { Answer, Request } from '../api/types';
import { iso, zoneName } from '../zone';
import type { State } from './state';

/** Text as a filter takes it, whatever is in it. */
export function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** All conditions that the page sets, in one filter. What people write stands first, so that places in it are places in theirs. */
export function filterOf(state: State, also: readonly string[] = []): string {
  const conditions = [...also];
  if (state.connectivity.length > 0) conditions.push(`connectivity IN (${state.connectivity.join(', ')})`);
  if (state.provider !== null) conditions.push(`provider = ${quoted(state.provider)}`);
  if (state.exporter !== null) conditions.push(`exporter = ${quoted(state.exporter)}`);
  if (state.filter.trim() !== '') conditions.unshift(conditions.length > 0 ? `(${state.filter})` : state.filter);
  return conditions.join(' AND ');
}

/** Characters that stand before what people wrote. */
export function shift(state: State): number {
  return filterOf({ ...state, filter: '' }) === '' ? 0 : 1;
}

type Bounds = Pick<Request, 'last' | 'from' | 'to'>;

function bounds(state: State): Bounds {
  return 'last' in state.range ? { last: state.range.last } : { from: iso(state.range.from), to: iso(state.range.to) };
}

/** The very time that an answer covers, for questions that go beside it. */
export function boundsOf(answer: Answer): Bounds {
  return { from: iso(answer.from), to: iso(answer.to) };
}

function common(state: State, also: readonly string[] = []): Request {
  const filter = filterOf(state, also);
  return { ...(filter === '' ? {} : { filter }), ...(state.everywhere ? { scope: 'all' } : {}), order: state.direction };
}

/** What a row of the page has, but for its course. */
function row(state: State): Request {
  return { ...common(state), by: [state.by], top: state.top, zone: zoneName(state.zone), peaks: true, other: true, previous: true };
}

/** The page's own question. */
export function main(state: State): Request {
  return { ...bounds(state), ...row(state), interval: 'auto' };
}

/** The same for a spreadsheet, of the time that is shown: with a course it would have a line for each slot. */
export function sheet(state: State, answer: Answer): Request {
  return { ...row(state), ...boundsOf(answer) };
}

/** By which links the traffic with an AS comes and goes. */
export function split(state: State, asn: string, answer: Answer): Request {
  return { ...boundsOf(answer), ...common(state, [`${state.by} = ${asn}`]), by: ['link'], top: 20, other: true };
}

/** All of one AS over the links that count, whatever else other pages could choose. */
function alone(state: State, asn: string): State {
  return { ...state, provider: null, exporter: null, filter: `${state.by} = ${asn}` };
}

/** All there is of one AS, by link or by family. */
export function ofOne(state: State, asn: string, by: 'link' | 'family'): Request {
  return { ...main({ ...alone(state, asn), top: 50 }), by: [by] };
}

/** Seconds of the slots that what is told of ends of flows is kept in. */
export const KEPT = { prefix: 3600, country: 300, other_as: 300 } as const;
export type End = keyof typeof KEPT;

/** A time whose ends lie on borders of slots: outwards, so that all that is shown is in it. The last so much time the API moves itself. */
export function outwards(state: State, slot: number): Bounds {
  if ('last' in state.range) return bounds(state);
  const { from, to } = state.range;
  return { from: iso(Math.floor(from / slot) * slot), to: iso(Math.ceil(to / slot) * slot) };
}

/** What an origin AS's flows have at their ends. */
export function endsOf(state: State, asn: string, by: End): Request {
  return { ...outwards(state, KEPT[by]), ...common(alone({ ...state, by: 'as' }, asn)), by: [by], top: 10, other: true };
}

/** Paths from AS to AS that are told one by one. */
const PATHS = 200;

/** From which AS to which, and by which link. */
export function pairs(state: State): Request {
  return { ...outwards(state, KEPT.other_as), ...common(state), by: ['as', 'link', 'other_as'], top: PATHS, other: true };
}

/** The same for a spreadsheet, of the time that is shown. */
export function pairsSheet(state: State, answer: Answer): Request {
  return { ...boundsOf(answer), ...common(state), by: ['as', 'link', 'other_as'], top: PATHS, other: true };
}

/** What can be chosen: whatever had traffic in the time that is shown. */
export function choices(state: State, of: 'provider' | 'exporter'): Request {
  return { ...bounds(state), by: [of], scope: 'all', top: 200 };
}

/** Kinds of links that there are, and unknown. */
const KINDS = 6;

/** What there is at all, or of one AS, by what links are for, classified or not. */
export function anything(state: State, asn: string | null): Request {
  return { ...bounds(state), ...(asn === null ? {} : { filter: `${state.by} = ${asn}` }), by: ['connectivity'], scope: 'all', top: KINDS };
}
