// A colour for each AS: its number alone decides, so that it is the same in every chart and on every day, whoever else is there. The palette was searched
// for: colours.test.ts holds how far apart any two of it look, also to eyes that lack a kind of cones. It has fewer colours than there are ASes, so two in
// one chart may share one: the second is hatched, and any later one is grey. Names stand beside colours wherever they are used.
import { named } from './asn';

export const PALETTE = ['#a0ba1a', '#f070a3', '#3379fb', '#7b009c', '#7e5899', '#af7c2e', '#a04518', '#300ff3', '#05b1fb'] as const;

export interface Paint {
  colour: string;
  /** Whether another one has the same colour plain. */
  hatched: boolean;
}

/** FNV-1a, but begun with a number for which ASes that are large nearly everywhere share few colours. */
function hash(text: string): number {
  let value = 67_931;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}

/** Paints for the keys of one chart; none for those that stay grey. Of two with one colour the lower number is plain, so that ranks may change and paints
 * stay. What is no AS goes by its whole name. */
export function paints(keys: readonly string[]): Map<string, Paint> {
  const used = new Map<string, number>();
  const of = new Map<string, Paint>();
  const known = keys.map((key) => ({ key, word: named(key).asn ?? key }));
  for (const { key, word } of known.sort((one, other) => one.word.localeCompare(other.word, 'en', { numeric: true }))) {
    const colour = PALETTE[hash(word) % PALETTE.length] ?? PALETTE[0];
    const before = used.get(colour) ?? 0;
    used.set(colour, before + 1);
    if (before < 2) of.set(key, { colour, hatched: before === 1 });
  }
  return of;
}
