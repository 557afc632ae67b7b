import { expect, test } from 'vitest';
import { byExporter } from './not-in';

test('an exporter is told once, whatever it has where, and those with most come first', () => {
  const of = (exporter: string, observation: string, bytes: number) => ({ exporter, observation, bytes, bytes_unknown_rate: 1 });
  const all = [of('a', 'egress', 5), of('b', 'ingress', 4), of('b', 'egress', 3)];
  expect(byExporter(all, (one) => one.bytes)).toEqual([['b', 7], ['a', 5]]);
  expect(byExporter([], (one) => one.bytes)).toEqual([]);
});
