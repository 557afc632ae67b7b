import { expect, test } from 'vitest';
import { month } from './month';

test('a month begins with its first day in the zone, and this one ends with what can be answered', () => {
  const now = new Date(Date.UTC(2026, 0, 15, 10, 0, 30));
  const at = (...day: [number, number, number]) => Date.UTC(...day) / 1000;
  expect(month('last', now, 'utc')).toEqual({ from: at(2025, 11, 1), to: at(2026, 0, 1) });
  expect(month('this', now, 'utc')).toEqual({ from: at(2026, 0, 1), to: Date.UTC(2026, 0, 15, 9, 58) / 1000 });
  expect(month('this', now, 'local').from).toBe(new Date(2026, 0, 1).getTime() / 1000);
  // In its first minutes nothing of it can be answered yet.
  expect(month('this', new Date(Date.UTC(2026, 0, 1, 0, 1)), 'utc')).toEqual({ from: at(2026, 0, 1), to: at(2026, 0, 1) });
});
