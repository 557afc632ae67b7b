import { expect, test } from 'vitest';
import { colours } from './colours';

const asns = ['15169', '2906', '13335', '32934', '16509', '20940', '8075', '54113', '714', '6185'];

test('within a chart no two are the same, and ranks change none', () => {
  const once = colours(asns);
  expect(new Set(once.values()).size).toBe(asns.length);
  expect(colours([...asns].reverse())).toEqual(once);
});

test('one that is alone has the colour that it mostly has in company', () => {
  const together = colours(asns);
  const same = asns.filter((asn) => colours([asn]).get(asn) === together.get(asn));
  expect(same.length).toBeGreaterThan(asns.length / 2);
});

test('more than there are colours still have one each', () => {
  const many = Array.from({ length: 40 }, (_, at) => String(at));
  expect([...colours(many).values()].every((colour) => /^#[0-9a-f]{6}$/.test(colour))).toBe(true);
});
