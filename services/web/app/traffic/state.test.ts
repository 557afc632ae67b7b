import { expect, test } from 'vitest';
import { read, USUAL, write, type State } from './state';

const of = (search: string) => read(new URLSearchParams(search));

test('an address without anything is the usual, and the usual is an address without anything', () => {
  expect(of('')).toEqual(USUAL);
  expect(write(USUAL)).toBe('');
});

test('every state is read as it was written', () => {
  const states: State[] = [
    { ...USUAL, range: { last: '7d' }, connectivity: ['transit', 'ix'], zone: 'utc' },
    { ...USUAL, range: { from: 1_795_680_000, to: 1_795_683_600 }, by: 'neighbour', direction: 'in', open: ['15169', '2906'] },
    { ...USUAL, provider: '', exporter: 'edge1 "a" & b, c', filter: 'link = "Söhne + 1" AND as != 1', everywhere: true, top: 100 },
  ];
  for (const state of states) expect(of(write(state))).toEqual(state);
  expect(write({ ...USUAL, range: { from: 1_795_680_000, to: 1_795_683_600 } })).toBe('?from=2026-11-26T0800Z&to=2026-11-26T0900Z');
});

test('what makes no sense is as usual', () => {
  expect(of('last=1w&by=colour&direction=up&connectivity=wet&top=7&zone=moon&open=x,')).toEqual(USUAL);
  expect(of('from=2026-11-26T0800Z').range).toEqual(USUAL.range);
  expect(of('from=2026-13-26T0800Z&to=2026-11-26T0900Z').range).toEqual(USUAL.range);
});
