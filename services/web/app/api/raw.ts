// A question as it is typed, and its answer as it came: nothing is read into either.
import { authorization } from './token';

export interface Reply {
  ok: boolean;
  /** Status, in figures and words; or that there was no answer. */
  said: string;
  kind: string;
  text: string;
  milliseconds: number;
}

export async function put(method: string, path: string, body: string | null, accept: string): Promise<Reply> {
  const token = authorization();
  const headers = {
    ...(accept === '' ? {} : { Accept: accept }),
    ...(body === null ? {} : { 'Content-Type': 'application/json' }),
    ...(token === null ? {} : { Authorization: token }),
  };
  const began = performance.now();
  try {
    const response = await fetch(path, { method, headers, ...(body === null ? {} : { body }) });
    const text = await response.text();
    return { ok: response.ok, said: `${String(response.status)} ${response.statusText}`, kind: response.headers.get('content-type') ?? 'no content', text, milliseconds: performance.now() - began };
  } catch {
    return { ok: false, said: 'Weir does not answer', kind: 'no answer', text: '', milliseconds: performance.now() - began };
  }
}
