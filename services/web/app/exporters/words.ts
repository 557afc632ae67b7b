// What is known of exporters, in words.
import type { Exporter } from '../api/types';
import { count, percent } from '../format';

const NARROW = '\u202f';

const PROTOCOLS: Readonly<Record<string, string>> = {
  netflow_v1: 'NetFlow v1', netflow_v5: 'NetFlow v5', netflow_v7: 'NetFlow v7', netflow_v8: 'NetFlow v8', netflow_v9: 'NetFlow v9', ipfix: 'IPFIX', sflow_v5: 'sFlow v5',
};

const SOURCES: Readonly<Record<string, string>> = {
  header: 'in its headers',
  system: 'for all of it',
  domain: 'for an observation domain',
  template: 'for a template',
  cache: 'for a cache',
  line_card: 'for a line card',
  interface: 'for an interface',
  sampler: 'for a sampler',
  inferred: 'inferred',
  record: 'in each record',
  override: 'set in the configuration',
  default: 'the default of the configuration',
};

export function protocol(word: string): string {
  return PROTOCOLS[word] ?? word;
}

export function source(word: string): string {
  return SOURCES[word] ?? word;
}

export function family(number: number): string {
  return number === 0 ? 'not IP' : `IPv${String(number)}`;
}

/** One of how many is taken. */
export function sampling(one: { interval: number; sampling: string }): string {
  if (one.interval === 0) return 'not known';
  if (one.interval === 1) return 'all';
  const interval = Number.isInteger(one.interval) ? count(one.interval) : one.interval.toFixed(1);
  const what = one.sampling === 'packet' ? ' packets' : one.sampling === 'flow' ? ' flows' : '';
  return `1 of ${interval}${what}`;
}

/** How long ago, roughly. */
export function ago(seconds: number): string {
  for (const [unit, length] of [['d', 86_400], ['h', 3600], ['min', 60]] as const) {
    if (seconds >= 2 * length) return `${String(Math.floor(seconds / length))}${NARROW}${unit} ago`;
  }
  return `${String(Math.max(Math.floor(seconds), 0))}${NARROW}s ago`;
}

/** The part of what it sent that did not arrive; of several ports and domains, and of what they count, the worst. */
export function lost(one: Exporter): string {
  const parts = one.sessions.filter(({ received, missing }) => received + missing > 0).map(({ received, missing }) => missing / (received + missing));
  return parts.length === 0 ? '–' : percent(Math.max(...parts));
}

export function title(one: Exporter): string {
  return one.name === '' ? one.address : one.name;
}

export function each<T>(all: readonly T[], of: (one: T) => string): string[] {
  return [...new Set(all.map(of))];
}

export function sum<T>(all: readonly T[], of: (one: T) => number): number {
  return all.reduce((sum, one) => sum + of(one), 0);
}
