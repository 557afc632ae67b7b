import { expect, test } from 'vitest';
import { bits, bound, bytes, change, mark, percent, rate, ratio } from './format';

const plain = (text: string) => text.replaceAll('\u202f', ' ');

test('bits a second have three digits and an SI prefix', () => {
  const cases: [number, string][] = [
    [0, '0 bit/s'],
    [0.4, '0 bit/s'],
    [999, '999 bit/s'],
    [999.7, '1.00 kbit/s'],
    [1000, '1.00 kbit/s'],
    [52_600_000, '52.6 Mbit/s'],
    [99_960_000, '100 Mbit/s'],
    [999_600_000, '1.00 Gbit/s'],
    [1.234e12, '1.23 Tbit/s'],
    [-8_400_000, '−8.40 Mbit/s'],
  ];
  for (const [value, text] of cases) expect(plain(bits(value))).toBe(text);
  expect([50e6, 2.5e9, 0, 1e6].map((value) => plain(mark(value)))).toEqual(['50 Mbit/s', '2.5 Gbit/s', '0 bit/s', '1 Mbit/s']);
  expect(plain(bytes(53_900_000))).toBe('53.9 MB');
  expect(rate(7500, 60)).toBe(1000);
});

test('shares, ratios, bounds and changes say what they can and no more', () => {
  expect(plain(percent(0))).toBe('0.0 %');
  expect(plain(percent(0.0002))).toBe('< 0.1 %');
  expect(plain(percent(0.0804))).toBe('8.0 %');
  expect(plain(percent(1))).toBe('100 %');
  expect(plain(ratio(42, 10))).toBe('4.2 : 1');
  expect(plain(ratio(1, 300))).toBe('1 : 300');
  expect(ratio(1, 0)).toBe('in only');
  expect(ratio(0, 0)).toBe('–');
  expect(plain(bound(100, 97.5, 102.5))).toBe('±2.5 %');
  expect(plain(bound(100, 60, 180))).toBe('±80 %');
  expect(bound(0, 0, 10)).toBe('–');
  expect(plain(change(112, 100))).toBe('+12 %');
  expect(plain(change(98, 100))).toBe('−2.0 %');
  expect(plain(change(5000, 100))).toBe('× 50');
  expect(plain(change(5_000_000, 1))).toBe('> × 1000');
  expect(change(1, 0)).toBe('new');
});
