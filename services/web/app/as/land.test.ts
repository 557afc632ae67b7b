import { expect, test } from 'vitest';
import { land } from './land';

test('a country has its name, and what is none stays as it is', () => {
  expect(land('DE')).toBe('Germany (DE)');
  for (const none of ['unknown', '', 'QQ', 'de', '<b>']) expect(land(none)).toBe(none);
});
