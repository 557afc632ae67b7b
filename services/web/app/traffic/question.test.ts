import { expect, test } from 'vitest';
import { filterOf, quoted, shift } from './question';
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
