// Questions to the API, and what may become of them: an answer, a problem in the API's words, or no word at all.
import createClient from 'openapi-fetch';
import type { Document } from '../reference/document';
import type { paths } from './schema';
import { authorization } from './token';
import type { Answer, Asn, Candidates, CandidatesAsked, Exporters, Links, Problem, Request, Said } from './types';

const client = createClient<paths>({ baseUrl: location.origin });
client.use({
  onRequest({ request }) {
    const token = authorization();
    if (token !== null) request.headers.set('Authorization', token);
    return request;
  },
});

export type Failure = { kind: 'problem'; problem: Problem } | { kind: 'away' } | { kind: 'strange'; status: number };
export type Outcome<T> = { ok: true; value: T } | { ok: false; failure: Failure };

function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'detail' in body && 'title' in body && 'status' in body;
}

/** Waits for an answer of whatever kind; only an end by the signal is thrown on. */
async function outcome<T>(
  asked: Promise<{ data?: unknown; error?: unknown; response: Response }>,
  read: (data: unknown, response: Response) => T | null,
  signal: AbortSignal,
): Promise<Outcome<T>> {
  try {
    const { data, error, response } = await asked;
    const value = response.ok ? read(data, response) : null;
    if (value !== null) return { ok: true, value };
    if (isProblem(error)) return { ok: false, failure: { kind: 'problem', problem: error } };
    return { ok: false, failure: { kind: 'strange', status: response.status } };
  } catch (error) {
    if (signal.aborted) throw error;
    return { ok: false, failure: { kind: 'away' } };
  }
}

/** An answer that has a list of this name is of the shape that the API describes. */
function having<T>(list: keyof T & string): (data: unknown) => T | null {
  const is = (data: unknown): data is T => typeof data === 'object' && data !== null && Array.isArray(Reflect.get(data, list));
  return (data) => (is(data) ? data : null);
}

const file = (data: unknown): Blob | null => (data instanceof Blob ? data : null);

/** What was said is said; whether questions know it by now is told by the status. */
const known = (_: unknown, response: Response): { known: boolean } => ({ known: response.status !== 202 });

export function ask(body: Request, signal: AbortSignal): Promise<Outcome<Answer>> {
  return outcome(client.POST('/api/v1/query', { body, signal }), having<Answer>('rows'), signal);
}

export function askForSheet(body: Request, signal: AbortSignal): Promise<Outcome<Blob>> {
  return outcome(client.POST('/api/v1/query', { body, signal, headers: { Accept: 'text/csv' }, parseAs: 'blob' }), file, signal);
}

export function links(signal: AbortSignal): Promise<Outcome<Links>> {
  return outcome(client.GET('/api/v1/links', { signal }), having<Links>('links'), signal);
}

/** Saying something is never broken off. */
const throughout = new AbortController().signal;

export function classify(id: string, body: Said): Promise<Outcome<{ known: boolean }>> {
  return outcome(client.PUT('/api/v1/links/{id}', { params: { path: { id } }, body }), known, throughout);
}

export function takeBack(id: string): Promise<Outcome<{ known: boolean }>> {
  return outcome(client.DELETE('/api/v1/links/{id}', { params: { path: { id } }, parseAs: 'text' }), known, throughout);
}

export function asn(number: number, signal: AbortSignal): Promise<Outcome<Asn>> {
  return outcome(client.GET('/api/v1/asns/{asn}', { params: { path: { asn: number } }, signal }), having<Asn>('links'), signal);
}

export function candidates(query: CandidatesAsked, signal: AbortSignal): Promise<Outcome<Candidates>> {
  return outcome(client.GET('/api/v1/candidates', { params: { query }, signal }), having<Candidates>('candidates'), signal);
}

/** The API's own description, which is no part of itself. */
export async function description(signal: AbortSignal): Promise<Outcome<Document>> {
  const token = authorization();
  const asked = fetch('/api/v1/openapi.json', { signal, headers: token === null ? {} : { Authorization: token } }).then(async (response) => {
    const body: unknown = await response.json();
    return response.ok ? { data: body, response } : { error: body, response };
  });
  const is = (data: unknown): data is Document => typeof data === 'object' && data !== null && 'paths' in data;
  return outcome(asked, (data) => (is(data) ? data : null), signal);
}

export function exporters(signal: AbortSignal): Promise<Outcome<Exporters>> {
  return outcome(client.GET('/api/v1/exporters', { signal }), having<Exporters>('exporters'), signal);
}
