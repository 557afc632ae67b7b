import { expect, test } from 'vitest';
import type { Exporter } from '../api/types';
import { ago, lost, sampling, source } from './words';

const plain = (text: string) => text.replaceAll('\u202f', ' ');
test('rates and times are as people say them', () => {
  expect([sampling({ interval: 4096, sampling: 'packet' }), sampling({ interval: 0, sampling: 'unknown' }), sampling({ interval: 1, sampling: 'packet' }), sampling({ interval: 33.25, sampling: 'unknown' })].map(plain)).toEqual(['1 of 4 096 packets', 'not known', 'all', '1 of 33.3']);
  expect([source('sampler'), source('something')]).toEqual(['for a sampler', 'something']);
  expect([-3, 59, 119, 120, 7300, 200_000].map((one) => plain(ago(one)))).toEqual(['0 s ago', '59 s ago', '119 s ago', '2 min ago', '2 h ago', '2 d ago']);
});

test('what is lost is that of the worst session, and where nothing was counted nothing is said', () => {
  const session = (received: number, missing: number) => ({ protocol: 'ipfix', observation_domain: 0, source_port: 1, agent: '', unit: 'records', received, missing, late: 0, repeated: 0, restarts: 0 });
  const of = (...sessions: Exporter['sessions']) => plain(lost({ sessions } as Exporter));
  expect([of(), of(session(0, 0)), of(session(100, 0)), of(session(1000, 0), session(99, 1)), of(session(100_000, 1))]).toEqual(['–', '–', '0.0 %', '1.0 %', '< 0.1 %']);
});
