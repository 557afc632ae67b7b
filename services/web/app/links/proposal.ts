// What an interface on no link could be, in words, and the link that one click makes of it.
import type { Link, Said, Unclassified } from '../api/types';
import { iso } from '../zone';

/** Bytes of a name, at most. */
const LONG = 100;

export const KINDS: readonly (readonly [string, string])[] = [
  ['transit', 'Transit'],
  ['ix', 'IX'],
  ['pni', 'PNI'],
  ['customer', 'Customer'],
  ['core', 'Core'],
];

export function kind(word: string): string {
  return KINDS.find(([one]) => one === word)?.[1] ?? word;
}

export function called(one: { exporter_name: string; name: string; if_index: number }): string {
  return `${one.exporter_name} ${one.name || `ifIndex ${String(one.if_index)}`}`;
}

/** Text as a name can be: nothing that is not shown, and not too long. */
export function fit(text: string): string {
  const shown = text.replace(/\p{Cc}/gu, ' ').trim();
  const encoder = new TextEncoder();
  let [cut, bytes] = ['', 0];
  for (const letter of shown) {
    bytes += encoder.encode(letter).length;
    if (bytes > LONG) break;
    cut += letter;
  }
  return cut.trim();
}

/** What a link is called for good, of its name. */
export function slug(name: string): string {
  const plain = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, '-').slice(0, LONG).replace(/^-|-$/g, '') || 'link';
}

/** The same with a number behind it, where another link has it. */
function free(text: string, taken: readonly string[], between: string): string {
  for (let at = 1; ; at += 1) {
    const one = at === 1 ? text : `${text}${between}${String(at)}`;
    if (!taken.includes(one)) return one;
  }
}

export function freeId(name: string, links: readonly Link[]): string {
  return free(slug(name), links.map((link) => link.id), '-');
}

/** "transit of Example (AS64500), because its description says transit". */
export function words(of: NonNullable<Unclassified['proposal']>): string {
  const as = of.neighbour_as === 0 ? '' : `AS${String(of.neighbour_as)}`;
  const who = of.provider === '' ? as : as === '' ? of.provider : `${of.provider} (${as})`;
  const between = of.connectivity === 'transit' ? 'of' : of.connectivity === 'pni' ? 'with' : '';
  const what = of.connectivity === 'ix' || of.connectivity === 'pni' ? of.connectivity.toUpperCase() : of.connectivity;
  return `${[what, who === '' ? '' : between, who].filter((part) => part !== '').join(' ')}, because ${of.because}`;
}

/** When an interface left the last link that a person put it on; it can be on another one from then on. */
function left(one: Unclassified, links: readonly Link[]): string | null {
  const theirs = links.filter((link) => link.said_by === 'person').flatMap((link) => link.members);
  const ends = theirs.filter((member) => member.exporter === one.exporter && member.if_index === one.if_index).map((member) => member.valid_to);
  return ends.length === 0 ? null : iso(Math.max(...ends));
}

/** The link that an interface could be; where nothing speaks for one, what is known of it. */
export function proposed(one: Unclassified, links: readonly Link[]): Said {
  const { proposal } = one;
  const provider = fit(proposal?.provider ?? '');
  const names = links.map((link) => link.name);
  const from = left(one, links);
  const name = provider !== '' && !names.includes(provider) ? provider : free(fit(called(one)), names, ' ');
  return {
    name,
    provider,
    connectivity: proposal?.connectivity ?? '',
    neighbour_as: proposal?.neighbour_as ?? 0,
    capacity: one.speed,
    commit_rate: 0,
    price: 0,
    currency: '',
    members: [{ exporter: one.exporter, if_index: one.if_index, ...(from === null ? {} : { valid_from: from }) }],
  };
}
