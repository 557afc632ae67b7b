import { expect, test } from 'vitest';
import type { Link, Row } from '../api/types';
import { billed, capacity, month } from './use';

const member = (speed: number, valid_to = 4_294_967_295) => ({ exporter: '', exporter_name: '', if_index: 1, name: '', description: '', speed, valid_from: 0, valid_to });
const link: Link = { id: 'a', name: 'A', provider: '', connectivity: 'transit', neighbour_as: 0, capacity: 0, commit_rate: 0, price: 0, currency: '', said_by: 'rule', members: [] };
const peaks = (p95_in: number, p95_out: number) =>
  ({ peaks: { max_in: 0, max_out: 0, p95_in, p95_out, rough_max_in: false, rough_max_out: false, rough_p95_in: false, rough_p95_out: false } }) as Row;

test('a month begins in the zone of the browser, and has a slot before it is asked for', () => {
  const first = new Date(2026, 10, 1);
  expect(month(new Date(first.getTime() + 419_000))).toBeNull();
  expect(month(new Date(first.getTime() + 420_000))).toMatchObject({ from: first.toISOString(), to: new Date(first.getTime() + 300_000).toISOString() });
});

test('a capacity that nobody said is that of the interfaces that are on the link now', () => {
  expect(capacity({ ...link, capacity: 5, members: [member(7)] }, 10)).toEqual({ speed: 5, ofInterfaces: false });
  expect(capacity({ ...link, members: [member(7), member(2), member(9, 10)] }, 10)).toEqual({ speed: 9, ofInterfaces: true });
  expect(capacity({ ...link, members: [member(7), member(0)] }, 10)).toBeNull();
});

test('the larger percentile is billed, where anything is', () => {
  expect([billed(link, peaks(2, 1)), billed(link, peaks(1, 2)), billed(link, peaks(0, 0)), billed(link, undefined)]).toEqual(['in', 'out', null, null]);
  expect(billed({ ...link, connectivity: 'ix' }, peaks(2, 1))).toBeNull();
  expect(billed({ ...link, connectivity: 'ix', price: 1 }, peaks(2, 1))).toBe('in');
});
