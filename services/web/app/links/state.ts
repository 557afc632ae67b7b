// What the page Links shows, as its address has it.

export interface State {
  /** Links whose members are shown, by their ids. */
  open: string[];
  /** The link that is edited. */
  edit: string | null;
  /** The interface on no link that is classified: exporter's address and ifIndex. */
  classify: string | null;
}

export function read(search: URLSearchParams): State {
  return { open: search.getAll('open'), edit: search.get('edit'), classify: search.get('classify') };
}

export function write(state: State): string {
  const search = new URLSearchParams(state.open.map((id) => ['open', id]));
  if (state.edit !== null) search.set('edit', state.edit);
  if (state.classify !== null) search.set('classify', state.classify);
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

export function place(of: { exporter: string; if_index: number }): string {
  return `${of.exporter} ${String(of.if_index)}`;
}
