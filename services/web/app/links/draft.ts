// A link while it is edited: texts as they stand in the form's fields.
import type { Failure } from '../api/client';
import type { Link, Said } from '../api/types';
import { fromInput, iso, toInput } from '../zone';
import { readAsn, readPrice, readSpeed, writePrice, writeSpeed } from './amount';

/** Of a member that is on its link for good. */
const ALWAYS = 4_294_967_295;

export interface DraftMember {
  exporter: string;
  ifIndex: string;
  from: string;
  until: string;
  /** As it was said. */
  was?: Pick<NonNullable<Said['members']>[number], 'valid_from' | 'valid_to'>;
}

export interface Draft {
  name: string;
  provider: string;
  connectivity: string;
  neighbourAs: string;
  capacity: string;
  commit: string;
  price: string;
  currency: string;
  members: DraftMember[];
}

/** What is wrong, by the JSON pointer of the field; that of '' is about all of it. */
export type Faults = ReadonlyMap<string, string>;

function time(text: string | null | undefined): string {
  return text ? toInput(Date.parse(text) / 1000, 'local') : '';
}

export function draft(said: Said): Draft {
  return {
    name: said.name ?? '',
    provider: said.provider ?? '',
    connectivity: said.connectivity ?? '',
    neighbourAs: said.neighbour_as ? String(said.neighbour_as) : '',
    capacity: writeSpeed(said.capacity ?? 0),
    commit: writeSpeed(said.commit_rate ?? 0),
    price: writePrice(said.price ?? 0),
    currency: said.currency ?? '',
    members: (said.members ?? []).map((one) => ({ exporter: one.exporter, ifIndex: String(one.if_index), from: time(one.valid_from), until: time(one.valid_to), was: one })),
  };
}

/** A link as it would be said again. */
export function said({ name, provider, connectivity, neighbour_as, capacity, commit_rate, price, currency, members }: Link): Said {
  return {
    ...{ name, provider, connectivity, neighbour_as, capacity, commit_rate, price, currency },
    members: members.map(({ exporter, if_index, valid_from, valid_to }) => ({
      exporter,
      if_index,
      ...(valid_from === 0 ? {} : { valid_from: iso(valid_from) }),
      ...(valid_to === ALWAYS ? {} : { valid_to: iso(valid_to) }),
    })),
  };
}

/** What the form says, or what of it can't be read. */
export function read(of: Draft): { said: Said } | { faults: Faults } {
  const faults = new Map<string, string>();
  function field<T>(pointer: string, value: T | undefined, wants: string, without: T): T {
    if (value === undefined) faults.set(pointer, wants);
    return value ?? without;
  }
  const speed = (pointer: string, text: string) => field(pointer, readSpeed(text), 'Write a speed such as 100G, 2.5G or 500M.', 0);
  const at = (pointer: string, text: string, was: string | null | undefined) => {
    if (text === '') return null;
    // An hour that a clock has twice reads the same both times: what was not changed is what it was.
    if (was && text === time(was)) return was;
    return iso(field(pointer, fromInput(text, 'local') ?? undefined, 'Give a date and a time, or neither.', 0));
  };
  const members = of.members.map((one, n) => {
    const ifIndex = /^\d{1,10}$/.test(one.ifIndex.trim()) && Number(one.ifIndex) <= ALWAYS ? Number(one.ifIndex) : undefined;
    const [from, until] = [at(`/members/${String(n)}/valid_from`, one.from, one.was?.valid_from), at(`/members/${String(n)}/valid_to`, one.until, one.was?.valid_to)];
    return {
      exporter: one.exporter.trim(),
      if_index: field(`/members/${String(n)}/if_index`, ifIndex, 'Write the ifIndex, a number.', 0),
      ...(from === null ? {} : { valid_from: from }),
      ...(until === null ? {} : { valid_to: until }),
    };
  });
  const result: Said = {
    name: of.name.trim(),
    provider: of.provider.trim(),
    connectivity: of.connectivity,
    neighbour_as: field('/neighbour_as', readAsn(of.neighbourAs), 'Write an AS number such as AS64500, or nothing.', 0),
    capacity: speed('/capacity', of.capacity),
    commit_rate: speed('/commit_rate', of.commit),
    price: field('/price', readPrice(of.price), 'Write a price such as 0.12, with three decimals at most.', 0),
    currency: of.currency.trim().toUpperCase(),
    members,
  };
  if (result.connectivity === '') faults.set('/connectivity', 'Choose what it is for.');
  return faults.size > 0 ? { faults } : { said: result };
}

/** What the API finds wrong, at its field; nothing where it is no fault of what was said. */
export function faultsOf(failure: Failure): Faults | null {
  if (failure.kind !== 'problem' || ![409, 422, 400].includes(failure.problem.status)) return null;
  return new Map([[failure.problem.pointer ?? '', failure.problem.detail]]);
}
