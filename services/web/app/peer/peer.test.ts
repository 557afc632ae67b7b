import { expect, test } from 'vitest';
import hostile from '../../../api/tests/hostile.json';
import type { Candidate, Candidates } from '../api/types';
import { sheet, text } from './sheet';
import { asked, read, USUAL, write, type State } from './state';
import { rough, share, sorted, trend } from './sums';

const sums = (bytes: number) => ({ bytes_in: bytes, bytes_out: 0, low_in: bytes * 0.9, high_in: bytes * 1.1, low_out: 0, high_out: 0 });
const one = (asn: number, saved: number, bytes: number, before?: number): Candidate => ({
  asn, name: `AS${String(asn)} One`, saved, ...sums(bytes), bytes_boundary: bytes * 2, met: [], transits: [{ provider: 'T', bytes_in: 0, bytes_out: 0, p95_in: 0, p95_out: 0, left_p95_in: 0, left_p95_out: 0, saved, rough: true }],
  ...(before === undefined ? {} : { previous: sums(before) }),
});
const all = (...candidates: Candidate[]): Candidates => ({
  from: 600, to: 1200, seconds: 600, slots: 2, tables: ['links_5m'], previous_seconds: 600, stored_from: 0, candidates, observation: 'ingress', unknown_rate: [], other_observation: [],
});

test('every state is read as it was written, and what makes no sense is as usual', () => {
  const states: State[] = [
    USUAL,
    { ...USUAL, range: { last: '24h' }, sort: 'trend', up: true, hidden: true, open: ['15169'] },
    { ...USUAL, range: { month: 'last' } },
    { ...USUAL, range: { from: 1_795_680_000, to: 1_795_683_600 }, filter: 'exporter = "a, b"', zone: 'utc', top: 50 },
  ];
  for (const state of states) expect(read(new URLSearchParams(write(state)))).toEqual(state);
  expect(write(USUAL)).toBe('');
  expect(read(new URLSearchParams('last=1h&month=next&sort=colour'))).toEqual(USUAL);
  expect(asked({ ...USUAL, zone: 'utc' })).toEqual({ last: '30d', zone: 'UTC', top: 25 });
  const now = new Date(Date.UTC(2026, 10, 27, 18, 0));
  expect(asked({ ...USUAL, range: { month: 'last' }, zone: 'utc' }, now)).toMatchObject({ from: '2026-10-01T00:00:00Z', to: '2026-11-01T00:00:00Z' });
  expect(asked({ ...USUAL, range: { month: 'this' }, zone: 'utc' }, now)).toMatchObject({ from: '2026-11-01T00:00:00Z', to: '2026-11-27T17:58:00Z' });
});

test('rows are sorted, and what is not known stands last either way', () => {
  const many = all(one(1, 5, 100), one(2, 9, 50, 10), one(3, 7, 10, 100));
  const order = (sort: State['sort'], up = false) => sorted(many, { sort, up }).map((each) => each.asn);
  expect([order('saved'), order('in'), order('in', true), order('trend'), order('trend', true)]).toEqual([[2, 3, 1], [1, 2, 3], [3, 2, 1], [2, 3, 1], [3, 2, 1]]);
});

test('a trend says whether it is one, a share is of what is told, and a saving of few samples is rough', () => {
  const [same, more] = [one(1, 0, 100, 95), one(2, 1, 100, 10)];
  expect(trend(same, all(same))?.unsure).toBe(true);
  expect(trend(more, all(more))?.unsure).toBe(false);
  expect(trend(more, { ...all(more), stored_from: 300 })).toBeNull();
  expect([share(same), share({ ...same, bytes_boundary: 0 })]).toEqual([0.5, null]);
  expect([rough(same), rough(more)]).toEqual([false, true]);
});

test('no name is a formula in a sheet', () => {
  for (const formula of [...hostile.formula, '\t1']) expect(text(formula)).not.toMatch(/(^|[,;|\t\r\n])"?\s*[=+\-@＝]/);
  expect([text('AS1 One'), text('a, "b"')]).toEqual(['AS1 One', '"a, ""b"""']);
  const lines = sheet([{ ...one(1, 300, 600), name: '=cmd' }], all(), new Map([[1, '@note']])).split('\r\n');
  expect(lines[1]).toMatch(/^1,'=cmd,300,8,true,600,/);
  expect(lines[1]).toMatch(/,T: 300,'@note$/);
});
