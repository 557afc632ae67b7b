// How much goes over a link, and what is asked to know it.
import type { Answer, Link, Member, Request, Row } from '../api/types';
import { rate } from '../format';
import { quoted } from '../traffic/question';
import { CONNECTIVITIES, USUAL, type State } from '../traffic/state';
import { iso, zoneName } from '../zone';

/** A five-minute slot, seconds. */
const SLOT = 300;
/** Rows at most: of sums, and of what is worked out by slots. */
export const MOST = { sums: 10_000, peaks: 200 } as const;

/** The last five minutes that are over. */
export function lately(): Request {
  return { last: '5m', by: ['link'], scope: 'all', top: MOST.sums };
}

/** 95ths of a time; of one that has no slot there are none. */
export function peaksOf({ from, to }: { from: number; to: number }): Request | null {
  if (to - from < SLOT) return null;
  return { from: iso(from), to: iso(to), zone: zoneName('local'), by: ['link'], scope: 'all', peaks: true, top: MOST.peaks };
}

/** One link a name, since rates go by names: where a rule has interfaces left on a link that a person said, the person's. */
export function oneAName(links: readonly Link[]): Link[] {
  const all = new Map<string, Link[]>();
  for (const link of links) all.set(link.name, [...(all.get(link.name) ?? []), link]);
  return [...all.values()].flatMap((same) => {
    const said = same.find((one) => one.said_by === 'person') ?? same[0];
    if (!said || same.length === 1) return same;
    const worst = (side: 'complete_in' | 'complete_out') => same.flatMap((one) => one[side] ?? []).sort((one, other) => Number(one.complete) - Number(other.complete))[0];
    const [complete_in, complete_out] = [worst('complete_in'), worst('complete_out')];
    return { ...said, members: same.flatMap((one) => one.members), ...(complete_in ? { complete_in } : {}), ...(complete_out ? { complete_out } : {}) };
  });
}

/** Where the traffic of a link is shown: of links of its kind, so that what is at the border of the network and what is not both count. */
export function trafficOf({ name, connectivity }: Link): State {
  const kind = CONNECTIVITIES.find((one) => one === connectivity);
  const filter = `link = ${quoted(name)}`;
  return kind ? { ...USUAL, connectivity: [kind], filter } : { ...USUAL, filter: `${filter} AND connectivity = ${connectivity}` };
}

/** Whether bytes went over it, but none with a sampling rate that is known: of its rate nothing is known then. */
export function unknown(row: Row | undefined, side: 'in' | 'out'): boolean {
  return row !== undefined && row[`bytes_${side}`] === 0 && row[`bytes_unknown_rate_${side}`] > 0;
}

export function byName(answer: Answer | null): ReadonlyMap<string, Row> {
  return new Map((answer?.rows ?? []).map((row) => [row.keys[0] ?? '', row]));
}

export function now(members: readonly Member[], at: number): Member[] {
  return members.filter((one) => one.valid_from <= at && at < one.valid_to);
}

/** Capacity in bit/s, and whether it is only that of the interfaces; nothing where one of them has no speed that is known. */
export function capacity(link: Link, at: number): { speed: number; ofInterfaces: boolean } | null {
  if (link.capacity > 0) return { speed: link.capacity, ofInterfaces: false };
  const members = now(link.members, at);
  if (members.length === 0 || members.some((one) => one.speed === 0)) return null;
  return { speed: members.reduce((all, one) => all + one.speed, 0), ofInterfaces: true };
}

/** The direction that is billed where bills are made for the 95th: of both percentiles the larger. */
export function billed(link: Link, row: Row | undefined): 'in' | 'out' | null {
  const paid = link.connectivity === 'transit' || link.connectivity === 'customer' || link.price > 0 || link.commit_rate > 0;
  if (!paid || !row?.peaks || row.peaks.p95_in + row.peaks.p95_out === 0) return null;
  return row.peaks.p95_in >= row.peaks.p95_out ? 'in' : 'out';
}

export function used(bytes: number, seconds: number, speed: number): number {
  return rate(bytes, seconds) / speed;
}
