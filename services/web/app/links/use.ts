// How much goes over a link, and what is asked to know it.
import type { Answer, Link, Member, Request, Row } from '../api/types';
import { rate } from '../format';
import { zoneName } from '../zone';

/** A five-minute slot, seconds. */
const SLOT = 300;
/** Answers end so long ago, because flows come after they end. */
const LATE = 120;
/** Rows at most: of sums, and of what is worked out by slots. */
const MOST = { sums: 10_000, peaks: 200 };

/** The last five minutes that are over. */
export function lately(): Request {
  return { last: '5m', by: ['link'], scope: 'all', top: MOST.sums };
}

/** From the first of the month on, in the browser's zone; nothing before that has a slot. */
export function month(now: Date): Request | null {
  const from = new Date(now.getFullYear(), now.getMonth(), 1);
  const to = Math.floor((now.getTime() / 1000 - LATE) / 60) * 60;
  if (to - from.getTime() / 1000 < SLOT) return null;
  return { from: from.toISOString(), to: new Date(to * 1000).toISOString(), zone: zoneName('local'), by: ['link'], scope: 'all', peaks: true, top: MOST.peaks };
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
