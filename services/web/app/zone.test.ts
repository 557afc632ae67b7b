import { expect, test } from 'vitest';
import { clock, day, duration, fromInput, span, toInput } from './zone';

const time = Date.UTC(2026, 10, 27, 8, 5) / 1000;

test('a time goes into an input and comes back', () => {
  expect(toInput(time, 'utc')).toBe('2026-11-27T08:05');
  for (const zone of ['utc', 'local'] as const) expect(fromInput(toInput(time, zone), zone)).toBe(time);
  for (const wrong of ['', 'yesterday', '2026-11-27']) expect(fromInput(wrong, 'utc')).toBeNull();
});

test('a span names a day once', () => {
  expect(span(time, time + 3600, 'utc')).toBe('27 Nov 2026, 08:05 – 09:05');
  expect(span(time, time + 86_400, 'utc')).toBe('27 Nov 2026, 08:05 – 28 Nov 2026, 08:05');
  expect([clock(time, 'utc'), day(time, 'utc')]).toEqual(['08:05', '27 Nov']);
  expect([60, 300, 5400, 3600, 86_400, 87_300, 200_000].map((one) => duration(one).replace('\u202f', ' '))).toEqual(['1 min', '5 min', '90 min', '1 h', '1 d', '24 h', '2 d']);
});
