import { expect, test } from 'vitest';
import type { Row } from '../api/types';
import { COLUMNS, ends, fold, MOST } from './fold';
import { read, write } from './state';

function row(keys: string[], bytes_in: number, bytes_out: number): Row {
  return {
    keys, bytes_in, bytes_out, packets: 0, flows: 0, samples_in: 0, samples_out: 0, low_in: 0, high_in: 0, low_out: 0, high_out: 0,
    bytes_late_rate: 0, bytes_unknown_rate_in: 0, bytes_unknown_rate_out: 0,
  };
}

/** More of everything than has a place of its own. */
const MANY = Array.from({ length: 60 }, (_, at) => row([`AS${String(at % 17)}`, `link ${String(at % 13)}`, `AS${String(100 + (at % 19))}`], 1000 + at, at * 7));
const OTHER = row([], 5000, 0);

test('what comes in comes from the AS, and what goes out goes to it', () => {
  const one = row(['AS1', 'Transit A', 'AS2'], 30, 4);
  expect(ends(one, 'in')).toEqual({ source: 'AS1', link: 'Transit A', destination: 'AS2' });
  expect(fold({ rows: [one] }, 'out').paths).toEqual([{ source: 'AS2', link: 'Transit A', destination: 'AS1', bytes: 4 }]);
});

test('however much is folded, the bytes of each column are all there are', () => {
  for (const direction of ['in', 'out'] as const) {
    const all = [...MANY, OTHER].reduce((sum, one) => sum + one[`bytes_${direction}`], 0);
    const { nodes, paths } = fold({ rows: MANY, other: OTHER }, direction);
    expect(paths.reduce((sum, path) => sum + path.bytes, 0)).toBe(all);
    for (const column of COLUMNS) {
      const of = nodes.filter((node) => node.column === column);
      expect(of.reduce((sum, node) => sum + node.bytes, 0)).toBe(all);
      expect(of.length).toBe(MOST[column] + 1);
      expect(of.at(-1)?.name).toBeNull();
      for (const node of of) expect(node.bytes).toBe(paths.filter((path) => path[column] === node.name).reduce((sum, path) => sum + path.bytes, 0));
    }
  }
});

test('the same names are one path, the largest first, and what is nothing is none', () => {
  const { nodes, paths } = fold({ rows: [row(['AS1', 'a', 'AS2'], 1, 0), row(['AS3', 'a', 'AS2'], 5, 0), row(['AS1', 'a', 'AS2'], 2, 0), row(['AS4', 'a', 'AS2'], 0, 9)] }, 'in');
  expect(paths.map(({ source, bytes }) => [source, bytes])).toEqual([['AS3', 5], ['AS1', 3]]);
  expect(nodes.map(({ name, bytes }) => [name, bytes])).toEqual([['AS3', 5], ['AS1', 3], ['a', 8], ['AS2', 8]]);
});

test('a name is never taken for all other, nor one column for another', () => {
  const { nodes } = fold({ rows: [row(['null', 'All other', 'null'], 1, 0)], other: OTHER }, 'in');
  expect(nodes.map((node) => node.name)).toEqual(['null', null, 'All other', null, 'null', null]);
  expect(new Set(nodes.map((node) => node.id)).size).toBe(6);
});

test('the address has the direction, and in is as usual', () => {
  for (const text of ['', '?direction=out', '?last=7d&direction=out&connectivity=transit&filter=family+%3D+4']) expect(write(read(new URLSearchParams(text)))).toBe(text);
  expect(read(new URLSearchParams('direction=both')).direction).toBe('in');
});
