import { expect, test } from 'vitest';
import { behind, time } from './address';

test('a time goes along, and what only one page knows does not', () => {
  const of = (text: string) => behind(time(new URLSearchParams(text)));
  expect([of(''), of('connectivity=ix&filter=as+%3D+1')]).toEqual(['', '']);
  expect(of('filter=x&last=7d&zone=utc&open=1')).toBe('?last=7d&zone=utc');
  expect(of('to=2026-11-26T0900Z&from=2026-11-26T0800Z')).toBe('?from=2026-11-26T0800Z&to=2026-11-26T0900Z');
});
