// The rows for a spreadsheet, as exact as they came.
import type { Candidate, Candidates } from '../api/types';
import { share, rough } from './sums';

const HEADS = [
  'asn', 'name', 'saved_bytes_per_slot', 'saved_bits_per_second', 'saved_rough', 'bytes_in', 'low_in', 'high_in', 'bytes_out', 'low_out', 'high_out', 'bytes_boundary', 'share_over_transit',
  'previous_bytes_in', 'previous_bytes_out', 'met_at', 'transits', 'note',
];

/** Text in a cell: wherever some spreadsheet could take what follows for a formula, also where it ends cells at other signs, an apostrophe stands. */
export function text(of: string): string {
  const safe = of.replace(/^[\t\r]/, "'$&").replace(/(^|[,;|\t\r\n])(?=\s*[=+\-@＝＋－＠])/g, "$1'");
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function sheet(rows: readonly Candidate[], all: Candidates, notes: ReadonlyMap<number, string>): string {
  const line = (one: Candidate) => [
    String(one.asn),
    text(one.name),
    String(one.saved),
    String((one.saved * 8) / 300),
    String(rough(one)),
    ...[one.bytes_in, one.low_in, one.high_in, one.bytes_out, one.low_out, one.high_out, one.bytes_boundary].map(String),
    share(one)?.toFixed(6) ?? '',
    ...(one.previous && all.previous_seconds > 0 ? [String(one.previous.bytes_in), String(one.previous.bytes_out)] : ['', '']),
    text(one.met.map((met) => met.link).join('; ')),
    text(one.transits.map((transit) => `${transit.provider}: ${String(transit.saved)}`).join('; ')),
    text(notes.get(one.asn) ?? ''),
  ];
  return `${[HEADS, ...rows.map(line)].map((cells) => cells.join(',')).join('\r\n')}\r\n`;
}
