import { expect, test } from 'vitest';
import type { Answer } from '../api/types';
import { USUAL, type State } from './state';
import { why } from './why';

const row = (key: string) => ({ keys: [key] }) as Answer['rows'][number];
const notIn = (bytes: number, bytes_unknown_rate: number) => [{ exporter: 'edge1', observation: 'egress', bytes, bytes_unknown_rate }];
const none = { rows: [], unknown_rate: [], other_observation: [] };

test('what is said of no rows is what is the case', () => {
  const cases: [string, Partial<State>, Partial<Answer>, Partial<Answer>][] = [
    ['nothing', {}, {}, {}],
    ['nothing', { everywhere: true }, {}, {}],
    ['filtered', { filter: 'as = 1' }, {}, { rows: [row('transit')] }],
    ['filtered', { connectivity: ['ix'] }, {}, {}],
    ['unclassified', {}, {}, { rows: [row('unknown')] }],
    // Some is classified: to say that nothing is would be wrong.
    ['inside', {}, {}, { rows: [row('unknown'), row('customer')] }],
    ['uncounted', {}, { other_observation: notIn(5, 0) }, { rows: [row('transit')] }],
    ['uncounted', { filter: 'as = 1' }, { unknown_rate: notIn(0, 5) }, {}],
    // Nothing is known to be at the border, and what was stored is counted nowhere.
    ['uncounted', {}, {}, { other_observation: notIn(5, 0) }],
    ['nothing', {}, { other_observation: notIn(0, 0) }, {}],
  ];
  for (const [is, state, answer, all] of cases) expect([is, why({ ...USUAL, ...state }, { ...none, ...answer }, { ...none, ...all })]).toEqual([is, is]);
});
