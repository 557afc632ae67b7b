// What the page Links shows, as its address has it.
import { behind, time } from '../address';

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

/** `within`: what the address has now; a time in it is for the pages that are gone to from here. */
export function write(state: State, within: URLSearchParams): string {
  const search = time(within);
  for (const id of state.open) search.append('open', id);
  if (state.edit !== null) search.set('edit', state.edit);
  if (state.classify !== null) search.set('classify', state.classify);
  return behind(search);
}

export function place(of: { exporter: string; if_index: number }): string {
  return `${of.exporter} ${String(of.if_index)}`;
}
