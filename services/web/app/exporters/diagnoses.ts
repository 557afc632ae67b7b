// What is wrong with an exporter, or could be, as far as it is known. What nobody told is nothing to diagnose from.
import type { Exporter } from '../api/types';
import { bytes, count, percent } from '../format';
import { ago, sum } from './words';

/** Without a flow for so long it is said to be silent, seconds. */
const SILENT = 900;
/** Interfaces that a sentence names. */
const NAMED = 4;

type Observed = Exporter['observed'][number];

function named(all: readonly Observed[]): string {
  const names = all.slice(0, NAMED).map((one) => one.name || `ifIndex ${String(one.if_index)}`);
  return names.join(', ') + (all.length > NAMED ? ` and ${count(all.length - NAMED)} more` : '');
}

/** Interfaces with traffic of which none was observed there, while it was at others. */
function without(one: Exporter, at: 'ingress' | 'egress'): Observed[] {
  const interfaces = one.observed.filter((each) => each.if_index !== 0);
  if (!interfaces.some((each) => each[at] > 0)) return [];
  return interfaces.filter((each) => each[at] === 0 && each.ingress + each.egress + each.elsewhere > 0);
}

function rates(one: Exporter): string[] {
  const unknown = sum(one.last_hour, (each) => each.bytes_unknown_rate);
  if (unknown === 0) return [];
  const none = one.applied.length > 0 && one.applied.every((each) => each.interval === 0) && one.announced.length === 0;
  const told = `its bytes are told apart, ${bytes(unknown)} as sampled in the last hour`;
  return [none ? `sends no sampling rate: ${told}; have it send its sampling options, or set the rate in the configuration` : `some flows came without a sampling rate that is known: their bytes are told apart, ${bytes(unknown)} as sampled in the last hour`];
}

function observations(one: Exporter): string[] {
  const found: string[] = [];
  for (const at of ['ingress', 'egress'] as const) {
    const missing = without(one, at);
    if (missing.length > 0) found.push(`no ${at} sampling seen on ${named(missing)} within a day, and on others there is some`);
  }
  const [assumed, flows] = [sum(one.last_hour, (each) => each.observation_assumed), sum(one.last_hour, (each) => each.flows)];
  if (assumed > 0) found.push(`${percent(assumed / flows)} of its flows do not say where their packets were observed, and count as configured`);
  const nameless = one.observed.find((each) => each.if_index === 0);
  if (nameless) {
    const part = sum([nameless], (each) => each.ingress + each.egress + each.elsewhere + each.unknown);
    if (part > 0) found.push(`${count(part)} times within a day a flow named no interface`);
  }
  return found;
}

/** Sentences without their capital letter and stop, what matters most first. */
export function diagnoses(one: Exporter, at: number): string[] {
  if (one.last_seen === undefined || one.last_seen === null) return ['nothing of it was stored within 35 days; look whether it is pointed here'];
  const silent = at - one.last_seen;
  return [
    ...(silent > SILENT ? [`silent: its last flow came ${ago(silent)}`] : []),
    ...rates(one),
    ...observations(one),
    ...(one.interfaces === 0 && one.interfaces_seen > 0 ? ['sends no names of interfaces, so they are called by their index'] : []),
  ];
}
