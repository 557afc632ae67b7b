// ASes that somebody does not want to see here, and notes on others: kept in this browser only.
import { SvelteMap, SvelteSet } from 'svelte/reactivity';

const KEY = 'weir.peer';
const LONG = 200;

function stored(): { hidden: number[]; notes: [number, string][] } {
  const found: { hidden: number[]; notes: [number, string][] } = { hidden: [], notes: [] };
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? 'null');
    if (typeof kept !== 'object' || kept === null) return found;
    const list = (name: string): unknown[] => {
      const value: unknown = Reflect.get(kept, name);
      return Array.isArray(value) ? value : [];
    };
    found.hidden = list('hidden').filter((one): one is number => typeof one === 'number');
    found.notes = list('notes').filter((one): one is [number, string] => Array.isArray(one) && typeof one[0] === 'number' && typeof one[1] === 'string');
  } catch {
    // What can't be read is as if it were not there.
  }
  return found;
}

export class Notes {
  readonly hidden: SvelteSet<number>;
  readonly notes: SvelteMap<number, string>;
  /** Whether the browser keeps it once the page is closed. */
  kept = $state(true);

  constructor() {
    const { hidden, notes } = stored();
    this.hidden = new SvelteSet(hidden);
    this.notes = new SvelteMap(notes);
  }

  hide(asn: number): void {
    if (!this.hidden.delete(asn)) this.hidden.add(asn);
    this.#keep();
  }

  note(asn: number, text: string): void {
    const short = text.trim().slice(0, LONG);
    if (short === '') this.notes.delete(asn);
    else this.notes.set(asn, short);
    this.#keep();
  }

  #keep(): void {
    try {
      localStorage.setItem(KEY, JSON.stringify({ hidden: [...this.hidden], notes: [...this.notes] }));
      this.kept = true;
    } catch {
      this.kept = false;
    }
  }
}
