import { expect, test } from 'vitest';
import { fold } from './fold';
import { layout } from './layout';

const none = { packets: 0, flows: 0, samples_in: 0, samples_out: 0, low_in: 0, high_in: 0, low_out: 0, high_out: 0, bytes_late_rate: 0, bytes_unknown_rate_in: 0, bytes_unknown_rate_out: 0 };
const row = (keys: string[], bytes_in: number) => ({ ...none, keys, bytes_in, bytes_out: 0 });

test('columns lie from left to right, the largest on top, and bands are as wide as their bytes', () => {
  const { boxes, bands, height } = layout(fold({ rows: [row(['AS1', 'a', 'AS9'], 300), row(['AS2', 'b', 'AS9'], 100), row(['AS9', 'b', 'AS1'], 50)] }, 'in'), 1000, 200);
  const of = (name: string, column: string) => boxes.find(({ node }) => node.name === name && node.column === column);
  const [first, link, last] = [of('AS1', 'source'), of('a', 'link'), of('AS9', 'destination')];
  expect([first?.x, last && last.x + last.width]).toEqual([200, 800]);
  expect(link?.x).toBeGreaterThan(first?.x ?? Infinity);
  expect(of('AS2', 'source')?.y).toBeGreaterThan(first?.y ?? Infinity);
  for (const box of boxes) expect(box.y + box.height).toBeLessThanOrEqual(height);
  const wide = bands.filter(({ path }) => path.source === 'AS1').map((band) => band.width);
  const narrow = bands.find(({ path }) => path.source === 'AS2')?.width ?? NaN;
  expect(wide.length).toBe(2);
  for (const width of wide) expect(width / narrow).toBeCloseTo(3);
});
