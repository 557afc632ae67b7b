// What rows are called: "AS15169 Google LLC". Rows of which no AS is known ("own or unknown") are called so, and are no AS.

/** Keys of what has no name of its own. */
const NOBODY = new Set(['own or unknown', 'unknown', 'not classified', 'no provider', 'not IP', 'no address']);

export function isSomebody(key: string): boolean {
  return !NOBODY.has(key);
}

export interface Named {
  /** Its number as written; nothing where it is no AS. */
  asn: string | null;
  name: string;
}

export function named(key: string): Named {
  const match = /^AS(\d+)(?: (.*))?$/s.exec(key);
  return match ? { asn: match[1] ?? null, name: match[2] ?? '' } : { asn: null, name: key };
}
