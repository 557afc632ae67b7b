import { expect, test } from 'vitest';
import type { Exporter } from '../api/types';
import { diagnoses } from './diagnoses';
import { ago, sampling, source } from './words';

const plain = (text: string) => text.replaceAll('\u202f', ' ');
const hour = { protocol: 'ipfix', observation: 'ingress', flows: 100, observation_assumed: 0, bytes: 1, bytes_unknown_rate: 0 };
const of = (if_index: number, ingress: number, egress: number, elsewhere = 0, unknown = 0) => ({ if_index, name: `et-${String(if_index)}`, description: '', ingress, egress, elsewhere, unknown });
const well: Exporter = {
  address: '192.0.2.1', name: 'edge1', last_seen: 1000, last_hour: [hour], families: [4], announced: [], applied: [{ source: 'sampler', interval: 1000, sampling: 'packet', flows: 100 }],
  interfaces: 2, interfaces_seen: 2, observed: [of(1, 5, 0, 5), of(2, 5, 0, 5)],
};

test('of an exporter with which all is well nothing is said', () => {
  expect(diagnoses(well, 1060)).toEqual([]);
});

test('what is wrong is said in words', () => {
  const said = (change: Partial<Exporter>, at = 1060) => diagnoses({ ...well, ...change }, at).map(plain);
  const never = { ...well };
  delete never.last_seen;
  expect(diagnoses(never, 1060)[0]).toContain('nothing of it was stored within 35 days');
  expect(said({}, 9000)).toEqual(['silent: its last flow came 2 h ago']);
  expect(said({ last_hour: [{ ...hour, bytes_unknown_rate: 5e6 }], applied: [{ source: 'unknown', interval: 0, sampling: 'unknown', flows: 100 }] })[0]).toMatch(/^sends no sampling rate: its bytes are told apart, 5\.00 MB as sampled/);
  expect(said({ last_hour: [{ ...hour, bytes_unknown_rate: 5e6 }] })[0]).toMatch(/^some flows came without/);
  expect(said({ observed: [of(1, 5, 5), of(2, 5, 0, 5)] })).toEqual(['no egress sampling seen on et-2 within a day, and on others there is some']);
  expect(said({ observed: [of(1, 5, 0), of(2, 0, 0, 5)] })).toEqual(['no ingress sampling seen on et-2 within a day, and on others there is some']);
  expect(said({ last_hour: [{ ...hour, observation_assumed: 25 }] })).toEqual(['25.0 % of its flows do not say where their packets were observed, and count as configured']);
  expect(said({ interfaces: 0 })).toEqual(['sends no names of interfaces, so they are called by their index']);
  expect(said({ observed: [of(1, 5, 0), of(0, 0, 0, 7)] })).toEqual(['7 times within a day a flow named no interface']);
});

test('rates and times are as people say them', () => {
  expect([sampling({ interval: 4096, sampling: 'packet' }), sampling({ interval: 0, sampling: 'unknown' }), sampling({ interval: 1, sampling: 'packet' }), sampling({ interval: 33.25, sampling: 'unknown' })].map(plain)).toEqual(['1 of 4 096 packets', 'not known', 'all', '1 of 33.3']);
  expect([source('sampler'), source('something')]).toEqual(['for a sampler', 'something']);
  expect([-3, 59, 119, 120, 7300, 200_000].map((one) => plain(ago(one)))).toEqual(['0 s ago', '59 s ago', '119 s ago', '2 min ago', '2 h ago', '2 d ago']);
});
