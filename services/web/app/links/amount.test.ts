import { expect, test } from 'vitest';
import { readAsn, readPrice, readSpeed, writePrice, writeSpeed } from './amount';

test('a speed is read as people write it, and written so', () => {
  const cases: [string, number | undefined][] = [['', 0], ['100G', 1e11], ['2.5 Gbit/s', 2.5e9], ['2,5g', 2.5e9], ['500Mbps', 5e8], ['64000', 64_000], ['fast', undefined], ['-1G', undefined], ['9999999T', undefined]];
  for (const [text, speed] of cases) expect(readSpeed(text)).toBe(speed);
  for (const speed of [0, 1e11, 2.5e9, 64_000, 123_456_789, 7]) expect(readSpeed(writeSpeed(speed))).toBe(speed);
  expect(writeSpeed(1e11)).toBe('100G');
});

test('a price has thousandths, and an AS its letters or none', () => {
  expect([readPrice(''), readPrice('0.12'), readPrice('1,5'), readPrice('1.2345'), readPrice('-1')]).toEqual([0, 120, 1500, undefined, undefined]);
  expect([writePrice(0), writePrice(120)]).toEqual(['', '0.12']);
  expect([readAsn(''), readAsn('AS64500'), readAsn('as 1'), readAsn('4294967296'), readAsn('x')]).toEqual([0, 64500, 1, undefined, undefined]);
});
