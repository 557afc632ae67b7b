// Parts of addresses that pages have in common.

/** What goes along from page to page. */
const TIME = ['last', 'from', 'to', 'zone'] as const;

/** What an address has of a time. */
export function time(search: URLSearchParams): URLSearchParams {
  return new URLSearchParams(TIME.flatMap((name) => search.getAll(name).map((value) => [name, value])));
}

/** The part of an address behind its path. */
export function behind(search: URLSearchParams): string {
  const text = search.toString().replaceAll('%2C', ',');
  return text === '' ? '' : `?${text}`;
}
