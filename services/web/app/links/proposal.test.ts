import { expect, test } from 'vitest';
import type { Link, Unclassified } from '../api/types';
import { fit, freeId, proposed, slug, words } from './proposal';

const link = (id: string, name: string): Link => ({
  id, name, provider: '', connectivity: 'transit', neighbour_as: 0, capacity: 0, commit_rate: 0, price: 0, currency: '', said_by: 'person', members: [],
});
const one: Unclassified = {
  exporter: '192.0.2.1', exporter_name: 'edge1', if_index: 7, name: 'et-0/0/1', description: 'Transit: Example AS64500', speed: 1e11, bytes_in: 1, bytes_out: 1, ases: 9,
  proposal: { connectivity: 'transit', provider: 'Example', neighbour_as: 64500, because: 'its description says transit' },
};

test('a proposal is said in words', () => {
  const of = (connectivity: string, provider: string, neighbour_as: number) => words({ connectivity, provider, neighbour_as, because: 'b' });
  expect(of('transit', 'Example', 64500)).toBe('transit of Example (AS64500), because b');
  expect(of('transit', '', 0)).toBe('transit, because b');
  expect(of('pni', '', 64500)).toBe('PNI with AS64500, because b');
  expect(of('ix', 'LAN-IX', 0)).toBe('IX LAN-IX, because b');
});

test('what one click says has a name and an id that no other link has', () => {
  expect(proposed(one, [])).toMatchObject({ name: 'Example', connectivity: 'transit', neighbour_as: 64500, capacity: 1e11, members: [{ exporter: '192.0.2.1', if_index: 7 }] });
  expect(proposed(one, [link('x', 'Example')]).name).toBe('edge1 et-0/0/1');
  expect(proposed(one, [link('x', 'Example'), link('y', 'edge1 et-0/0/1')]).name).toBe('edge1 et-0/0/1 2');
  expect(freeId('Example', [link('example', 'Other'), link('example-2', 'Another')])).toBe('example-3');
});

test('an interface that a person ended on another link is on the new one from then on', () => {
  const member = { exporter: '192.0.2.1', exporter_name: 'edge1', if_index: 7, name: '', description: '', speed: 0, valid_from: 0, valid_to: 1_795_680_000 };
  const members = (link: Link) => proposed(one, [link]).members;
  expect(members({ ...link('x', 'Old'), members: [member] })).toEqual([{ exporter: '192.0.2.1', if_index: 7, valid_from: '2026-11-26T08:00:00Z' }]);
  expect(members({ ...link('x', 'Old'), members: [member], said_by: 'rule' })).toEqual([{ exporter: '192.0.2.1', if_index: 7 }]);
});

test('a name is made of whatever a router has', () => {
  expect(slug('Söhne & Co / #1')).toBe('sohne-co-1');
  expect(slug('日本')).toBe('link');
  expect(fit('  a\u0000b\n ')).toBe('a b');
  expect(new TextEncoder().encode(fit('é'.repeat(80))).length).toBe(100);
});
