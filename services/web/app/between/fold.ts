// Rows by AS, link and AS at the other end, made into paths from source to destination, few enough to be told apart.
//
// What must stay true: nothing is left out. What has no place of its own goes with all other, and the bytes of all paths are those of the rows and of
// what is beyond them.
import type { Answer, Row } from '../api/types';
import type { Side } from './state';

/** Where a name stands: source AS, link, destination AS. */
export const COLUMNS = ['source', 'link', 'destination'] as const;
export type Column = (typeof COLUMNS)[number];

/** Names that a column has of its own, at most. */
export const MOST: Record<Column, number> = { source: 12, link: 10, destination: 12 };

/** From whom to whom, and by which link; null: all other. */
export type Path = Record<Column, string | null> & { bytes: number };

export interface Node {
  id: string;
  column: Column;
  name: string | null;
  bytes: number;
}

export interface Graph {
  /** Of each column the largest first, and all other last. */
  nodes: Node[];
  paths: Path[];
}

/** What comes in comes from the row's AS, and what goes out goes to it. */
export function ends(row: Row, direction: Side): Record<Column, string> {
  const [as = '', link = '', other = ''] = row.keys;
  return direction === 'in' ? { source: as, link, destination: other } : { source: other, link, destination: as };
}

export function nodeId(column: Column, name: string | null): string {
  return JSON.stringify([column, name]);
}

function sums(paths: readonly Path[], column: Column): Map<string | null, number> {
  const all = new Map<string | null, number>();
  for (const path of paths) all.set(path[column], (all.get(path[column]) ?? 0) + path.bytes);
  return all;
}

const largestFirst = (one: [unknown, number], other: [unknown, number]) => other[1] - one[1];

export function fold(answer: Pick<Answer, 'rows' | 'other'>, direction: Side): Graph {
  const side = `bytes_${direction}` as const;
  const beyond: Path = { source: null, link: null, destination: null, bytes: answer.other?.[side] ?? 0 };
  const whole = [...answer.rows.map((row): Path => ({ ...ends(row, direction), bytes: row[side] })), beyond].filter((path) => path.bytes > 0);
  const own = (column: Column) => {
    const named = [...sums(whole, column)].filter(([name]) => name !== null);
    return new Set(named.sort(largestFirst).slice(0, MOST[column]).map(([name]) => name));
  };
  const kept = { source: own('source'), link: own('link'), destination: own('destination') };
  const paths = new Map<string, Path>();
  for (const path of whole) {
    const place = (column: Column) => (kept[column].has(path[column]) ? path[column] : null);
    const folded = { source: place('source'), link: place('link'), destination: place('destination') };
    const key = JSON.stringify(Object.values(folded));
    paths.set(key, { ...folded, bytes: (paths.get(key)?.bytes ?? 0) + path.bytes });
  }
  const all = [...paths.values()].sort((one, other) => other.bytes - one.bytes);
  const nodes = COLUMNS.flatMap((column) => {
    const named = [...sums(all, column)].sort((one, other) => Number(one[0] === null) - Number(other[0] === null) || largestFirst(one, other));
    return named.map(([name, bytes]): Node => ({ id: nodeId(column, name), column, name, bytes }));
  });
  return { nodes, paths: all };
}
