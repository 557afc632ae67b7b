import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { address, curl, operations, pretty, type Document } from './document';

const all = operations(JSON.parse(readFileSync('../../schemas/openapi.json', 'utf8')) as Document);
const of = (id: string) => {
  const one = all.find((each) => each.id === id);
  if (!one) throw new Error(`there is no ${id}`);
  return one;
};

test('all that can be asked is listed with what it takes and answers', () => {
  expect(all.map((one) => `${one.method} ${one.path}`).sort()).toEqual([
    'DELETE /api/v1/links/{id}', 'GET /api/v1/asns/{asn}', 'GET /api/v1/candidates', 'GET /api/v1/columns', 'GET /api/v1/exporters', 'GET /api/v1/links', 'POST /api/v1/query', 'PUT /api/v1/links/{id}',
  ]);
  for (const one of all) expect(one.title).not.toBe('');
  const query = of('query');
  expect(query.accepts).toEqual(['application/json', 'text/csv']);
  expect(JSON.parse(query.body ?? '')).toMatchObject({ last: '1h', by: ['as', 'link'] });
  expect(query.fields.find((field) => field.name === 'by')?.type).toMatch(/^list of as, neighbour, link/);
  expect(query.answers.find((answer) => answer.status === '200')?.fields.map((field) => field.name)).toContain('rows');
  expect(JSON.parse(of('classify').body ?? '')).toMatchObject({ connectivity: 'transit' });
  expect(of('exporters').body).toBeNull();
});

test('what is filled in goes to its place, and the shell takes it as it is', () => {
  expect(address(of('declassify'), { id: 'a/b ?' })).toBe('/api/v1/links/a%2Fb%20%3F');
  expect(address(of('candidates'), { last: '7d', filter: 'as = 1', top: '' })).toBe('/api/v1/candidates?last=7d&filter=as+%3D+1');
  const line = curl('http://127.0.0.1:8480', of('query'), '/api/v1/query', `{"filter": "link = 'x'"}`, 'text/csv', true);
  expect(line).toBe(
    [`curl -s -X POST 'http://127.0.0.1:8480/api/v1/query'`, `-H 'accept: text/csv'`, '-H "authorization: Bearer $TOKEN"', `-H 'content-type: application/json'`, `-d '{"filter": "link = '\\''x'\\''"}'`].join(' \\\n  '),
  );
});

test('JSON is indented, and what is none stays as it came', () => {
  expect([pretty('{"a":1}', 'application/problem+json'), pretty('{', 'application/json'), pretty('a,b', 'text/csv')]).toEqual(['{\n  "a": 1\n}', '{', 'a,b']);
});
