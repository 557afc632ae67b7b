import { expect, test, vi } from 'vitest';
import type { Link } from '../api/types';
import { draft, faultsOf, read, said } from './draft';

const link: Link = {
  id: 'a', name: 'A', provider: 'Carrier', connectivity: 'transit', neighbour_as: 64500, capacity: 1e11, commit_rate: 1e10, price: 120, currency: 'EUR', said_by: 'person',
  members: [
    { exporter: '192.0.2.1', exporter_name: 'edge1', if_index: 7, name: '', description: '', speed: 0, valid_from: 0, valid_to: 4_294_967_295 },
    { exporter: '192.0.2.1', exporter_name: 'edge1', if_index: 8, name: '', description: '', speed: 0, valid_from: 1_795_680_000, valid_to: 1_795_683_600 },
  ],
};

test('a link that is opened and saved says the same', () => {
  expect(read(draft(said(link)))).toEqual({ said: said(link) });
  expect(said(link).members?.[1]).toEqual({ exporter: '192.0.2.1', if_index: 8, valid_from: '2026-11-26T08:00:00Z', valid_to: '2026-11-26T09:00:00Z' });
});

test('a time of an hour that a clock has twice stays what it was', () => {
  vi.stubEnv('TZ', 'Europe/Berlin');
  const hours = ['2025-10-26T00:30:00Z', '2025-10-26T01:30:00Z'].map((text) => Date.parse(text) / 1000) as [number, number];
  const [member] = link.members as [Link['members'][number]];
  const twice: Link = { ...link, members: [{ ...member, valid_from: hours[0], valid_to: hours[1] }] };
  const begun = draft(said(twice));
  expect(begun.members[0]).toMatchObject({ from: '2025-10-26T02:30', until: '2025-10-26T02:30' });
  expect(read(begun)).toEqual({ said: said(twice) });
  vi.unstubAllEnvs();
});

test('what cannot be read is said at its field', () => {
  const wrong = read({ ...draft(said(link)), capacity: 'much', neighbourAs: 'x', connectivity: '', members: [{ exporter: 'e', ifIndex: '', from: 'x', until: '' }] });
  expect('faults' in wrong && [...wrong.faults.keys()].sort()).toEqual(['/capacity', '/connectivity', '/members/0/if_index', '/members/0/valid_from', '/neighbour_as']);
});

test('what the API finds wrong is at its field, and a failure of another kind is none', () => {
  const problem = { type: 'urn:weir:problem:conflict', title: 't', status: 409, detail: 'd', pointer: '/members/0' };
  expect(faultsOf({ kind: 'problem', problem })).toEqual(new Map([['/members/0', 'd']]));
  expect(faultsOf({ kind: 'problem', problem: { ...problem, status: 503 } })).toBeNull();
  expect(faultsOf({ kind: 'away' })).toBeNull();
});
