import { expect, test } from 'vitest';
import type { Answer } from '../api/types';
import { endsOf, filterOf, ofOne, outwards, quoted, shift, split } from './question';
import { USUAL } from './state';

test('names go into filters as text, whatever is in them', () => {
  expect(quoted('a "b" \\ c')).toBe('"a \\"b\\" \\\\ c"');
  expect(filterOf({ ...USUAL, provider: '" OR as = 1' })).toBe('provider = "\\" OR as = 1"');
});

test('conditions are joined, and places in what people wrote can be found again', () => {
  expect(filterOf(USUAL)).toBe('');
  expect([filterOf({ ...USUAL, filter: 'as = 1 OR as = 2' }), shift({ ...USUAL, filter: 'x' })]).toEqual(['as = 1 OR as = 2', 0]);
  const both = { ...USUAL, filter: 'as = 1 OR as = 2', connectivity: ['transit' as const], exporter: 'edge1' };
  expect(filterOf(both)).toBe('(as = 1 OR as = 2) AND connectivity IN (transit) AND exporter = "edge1"');
  expect(shift(both)).toBe(1);
});

test('ends of flows are asked for in whole slots around the time that is shown', () => {
  const range = { from: Date.UTC(2026, 10, 27, 8, 7) / 1000, to: Date.UTC(2026, 10, 27, 9, 0) / 1000 };
  const hours = { from: '2026-11-27T08:00:00Z', to: '2026-11-27T09:00:00Z' };
  expect(outwards({ ...USUAL, range }, 3600)).toEqual(hours);
  expect(outwards({ ...USUAL, range }, 300)).toEqual({ ...hours, from: '2026-11-27T08:05:00Z' });
  const state = { ...USUAL, range, by: 'neighbour' as const, provider: 'x', filter: 'family = 4', direction: 'out' as const };
  expect(endsOf(state, '2906', 'prefix')).toEqual({ ...hours, filter: 'as = 2906', order: 'out', by: ['prefix'], top: 10, other: true });
  expect(endsOf(USUAL, '2906', 'country')).toMatchObject({ last: '24h', by: ['country'] });
});

test('of what an AS has more links for than are listed, the rest is asked for as well', () => {
  expect(split(USUAL, '2906', { from: 0, to: 60 } as Answer)).toMatchObject({ filter: 'as = 2906', by: ['link'], other: true });
  expect(ofOne(USUAL, '2906', 'link')).toMatchObject({ by: ['link'], other: true });
});
