import { expect, test } from 'vitest';
import type { Answer, Row } from '../api/types';
import { layersOf, MOST, OTHER, ratesIn, slotsOf, stacked } from './layers';

function row(key: string, bytes_in: number[], bytes_out: number[]): Row {
  const sum = (all: number[]) => all.reduce((one, next) => one + next, 0);
  return {
    keys: [key], bytes_in: sum(bytes_in), bytes_out: sum(bytes_out), packets: 0, flows: 0, samples_in: 0, samples_out: 0, low_in: 0, high_in: 0,
    low_out: 0, high_out: 0, bytes_late_rate: 0, bytes_unknown_rate_in: 0, bytes_unknown_rate_out: 0, series: { bytes_in, bytes_out },
  };
}

function answer(rows: Row[], other?: Row): Answer {
  return {
    tables: ['links_1m'], from: 0, to: 150, asked_from: 0, seconds: 90, incomplete_seconds: 0, observation: 'ingress', by: ['as'], rows,
    total: row('', [], []), unknown_rate: [], other_observation: [], series: { interval: 60, starts: [0, 60, 120], tables: ['links_1m'] }, ...(other ? { other } : {}),
  };
}

test('a slot is divided by its own length, and one that has not begun is none', () => {
  const layers = layersOf(answer([row('AS1 One', [7500, 7500, 0], [750, 0, 0])]));
  expect([layers?.borders, layers?.to]).toEqual([[0, 60, 90], 150]);
  expect(layers?.layers[0]?.in).toEqual([1000, 2000]);
  expect(layers?.layers[0]?.out).toEqual([100, 0]);
});

test('rates of a slot at the begin and at the end are not lower for being shorter', () => {
  const slots = slotsOf({ ...answer([]), from: 30 });
  expect(slots).toEqual([0, 60, 120]);
  expect(ratesIn([30, 60, 120, 140], [3750, 7500, 2500])).toEqual([1000, 1000, 1000]);
  expect(ratesIn([], [1])).toEqual([]);
});

test('what is no layer of its own is one grey layer, and so is what is no AS', () => {
  const rows = Array.from({ length: MOST + 2 }, (_, at) => row(`AS${String(at + 1)}`, [75, 75, 0], [0, 0, 0]));
  const layers = layersOf(answer([row('own or unknown', [75, 75, 0], [0, 0, 0]), ...rows], row('other', [150, 0, 0], [0, 0, 0])));
  expect(layers?.layers.length).toBe(MOST + 1);
  expect(layers?.layers[0]?.paint).toBe(OTHER);
  expect(layers?.layers[MOST]).toMatchObject({ name: 'All other', paint: OTHER, in: [50, 60] });
});

test('in lies above the axis, out below it, and the outermost is drawn first', () => {
  const layers = layersOf(answer([row('AS1', [75, 0, 0], [150, 0, 0]), row('AS2', [75, 0, 0], [75, 0, 0])]));
  if (!layers) throw new Error('no layers');
  expect(stacked(layers, 'both').map(({ layer, heights }) => [layer.name, heights[0]])).toEqual([
    ['AS2', 20], ['AS1', 10], ['AS2', -30], ['AS1', -20],
  ]);
  expect(stacked(layers, 'out').map(({ heights }) => heights[0])).toEqual([30, 20]);
});
