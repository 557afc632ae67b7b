// Questions to the API, and what may become of them: an answer, a problem in the API's words, or no word at all.
import createClient from 'openapi-fetch';
import type { paths } from './schema';
import { authorization } from './token';
import type { Answer, Problem, Request } from './types';

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
  is: (data: unknown) => data is T,
  signal: AbortSignal,
): Promise<Outcome<T>> {
  try {
    const { data, error, response } = await asked;
    if (is(data)) return { ok: true, value: data };
    if (isProblem(error)) return { ok: false, failure: { kind: 'problem', problem: error } };
    return { ok: false, failure: { kind: 'strange', status: response.status } };
  } catch (error) {
    if (signal.aborted) throw error;
    return { ok: false, failure: { kind: 'away' } };
  }
}

const isAnswer = (data: unknown): data is Answer => typeof data === 'object' && data !== null && 'rows' in data;
const isFile = (data: unknown): data is Blob => data instanceof Blob;

export function ask(body: Request, signal: AbortSignal): Promise<Outcome<Answer>> {
  return outcome(client.POST('/api/v1/query', { body, signal }), isAnswer, signal);
}

export function askForSheet(body: Request, signal: AbortSignal): Promise<Outcome<Blob>> {
  return outcome(client.POST('/api/v1/query', { body, signal, headers: { Accept: 'text/csv' }, parseAs: 'blob' }), isFile, signal);
}
