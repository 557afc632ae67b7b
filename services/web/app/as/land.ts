// Countries by name. What is none stays as it is.

const NAMES = new Intl.DisplayNames(['en'], { type: 'region', fallback: 'none' });

/** Of a code (ISO 3166-1) its name, with the code behind it. */
export function land(code: string): string {
  const name = /^[A-Z]{2}$/.test(code) ? NAMES.of(code) : undefined;
  return name === undefined ? code : `${name} (${code})`;
}
