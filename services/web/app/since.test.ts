import { expect, test } from 'vitest';
import { begins, covered, ofStored } from './since';

test('a time that begins before anything was stored is told, and one that does not is not', () => {
  expect(begins({ from: 100, to: 2000, stored_from: 300 })).toBe(300);
  for (const stored of [{ stored_from: 100 }, { stored_from: 2000 }, {}]) expect(begins({ from: 100, to: 2000, ...stored })).toBeNull();
});

test('a question is asked again from when something was stored, if two slots are left', async () => {
  const asked = async (stored_from: number) => {
    const times: unknown[] = [];
    await ofStored((instead) => {
      times.push(instead);
      return Promise.resolve({ ok: true, value: { from: 100, to: 2000, stored_from } });
    });
    return times;
  };
  expect(await asked(1400)).toEqual([null, { from: 1400, to: 2000 }]);
  expect(await asked(1500)).toEqual([null]);
  expect(await asked(100)).toEqual([null]);
});

test('times are compared where the earlier one is stored from its first second on', () => {
  expect([covered({ from: 300 }, { stored_from: 300 }), covered({ from: 299 }, { stored_from: 300 }), covered({ from: 300 }, {})]).toEqual([true, false, false]);
});
