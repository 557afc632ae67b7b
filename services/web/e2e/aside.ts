// Interfaces on no link, for tests to say things of that others do not see: the two that the demo has stay as they are. What a person says of an
// interface beats rules at any time, so one that was on a link for a minute of 2020 is on none now.
import type { APIRequestContext } from '@playwright/test';
import type { Link, Links, Member } from '../app/api/types';
import { expect } from './page';

export async function links(request: APIRequestContext): Promise<Links> {
  return (await (await request.get('/api/v1/links')).json()) as Links;
}

export async function takeBack(request: APIRequestContext, ...ids: string[]): Promise<void> {
  for (const id of ids) await request.delete(`/api/v1/links/${encodeURIComponent(id)}`);
}

/** A customer's interface, which is not at the border of the network: other tests see nothing of it. */
export async function aside(request: APIRequestContext, id: string, at: number): Promise<Member> {
  const { links: all } = await links(request);
  const customers = all.filter((link: Link) => link.said_by === 'rule' && link.connectivity === 'customer').flatMap((link) => link.members);
  const member = customers[at];
  if (!member) throw new Error('there are too few customers');
  const { exporter, if_index } = member;
  const data = { name: id, connectivity: 'customer', members: [{ exporter, if_index, valid_from: '2020-01-01T00:00:00Z', valid_to: '2020-01-01T00:01:00Z' }] };
  expect((await request.put(`/api/v1/links/${id}`, { data })).status()).toBe(200);
  return member;
}
