import { expect, test } from 'vitest';
import type { Link, Row } from '../api/types';
import { billed, capacity, oneAName, peaksOf, trafficOf, unknown } from './use';

const member = (speed: number, valid_to = 4_294_967_295) => ({ exporter: '', exporter_name: '', if_index: 1, name: '', description: '', speed, valid_from: 0, valid_to });
const link: Link = { id: 'a', name: 'A', provider: '', connectivity: 'transit', neighbour_as: 0, capacity: 0, commit_rate: 0, price: 0, currency: '', said_by: 'rule', members: [] };
const peaks = (p95_in: number, p95_out: number) =>
  ({ peaks: { max_in: 0, max_out: 0, p95_in, p95_out, rough_max_in: false, rough_max_out: false, rough_p95_in: false, rough_p95_out: false } }) as Row;

test('95ths are of slots, and of a time without one there are none', () => {
  const from = Date.UTC(2026, 10, 1) / 1000;
  expect(peaksOf({ from, to: from + 299 })).toBeNull();
  expect(peaksOf({ from, to: from + 300 })).toMatchObject({ from: '2026-11-01T00:00:00Z', to: '2026-11-01T00:05:00Z', peaks: true });
});

test('a link of which a rule still has interfaces is one link, which a person said', () => {
  const [whole, part] = [{ complete: true, says: 'all', missing: [] }, { complete: false, says: 'not all', missing: [] }];
  const rule = { ...link, members: [member(1)], complete_in: part, complete_out: whole };
  const person = { ...link, said_by: 'person' as const, provider: 'P', members: [member(2)], complete_in: whole };
  const other = { ...link, id: 'b', name: 'B' };
  const [one, two, ...more] = oneAName([rule, other, person]);
  expect([two, more]).toEqual([other, []]);
  expect(one).toMatchObject({ said_by: 'person', provider: 'P', complete_in: part, complete_out: whole, members: [member(1), member(2)] });
});

test('the traffic of a link is that of its kind, which no border leaves out and nothing counts twice', () => {
  expect(trafficOf({ ...link, connectivity: 'customer' })).toMatchObject({ connectivity: ['customer'], filter: 'link = "A"', everywhere: false });
  expect(trafficOf({ ...link, connectivity: 'core' })).toMatchObject({ connectivity: [], filter: 'link = "A" AND connectivity = core', everywhere: false });
});

test('a rate is not known where bytes went, but none of a rate that is known', () => {
  const row = (bytes_in: number, bytes_unknown_rate_in: number) => ({ bytes_in, bytes_unknown_rate_in }) as Row;
  expect([unknown(row(0, 5), 'in'), unknown(row(3, 5), 'in'), unknown(row(0, 0), 'in'), unknown(undefined, 'in')]).toEqual([true, false, false, false]);
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
