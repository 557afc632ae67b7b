import { expect, test } from 'vitest';
import { wholeSlots } from './zoom';

test('what was dragged is whole slots', () => {
  const borders = [0, 300, 600, 900];
  expect(wholeSlots(borders, 310, 320)).toEqual({ from: 300, to: 600 });
  expect(wholeSlots(borders, 300, 900)).toEqual({ from: 300, to: 900 });
  expect(wholeSlots(borders, -5, 950)).toEqual({ from: -60, to: 960 });
});
