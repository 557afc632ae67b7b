// Whose bytes are not in the numbers. What is told apart by where it was observed is of one exporter all the same.
import type { NotIn } from '../api/types';

/** Exporters with what they have in all, most first. */
export function byExporter(all: NotIn[], amount: (one: NotIn) => number): [exporter: string, amount: number][] {
  const sums = new Map<string, number>();
  for (const one of all) sums.set(one.exporter, (sums.get(one.exporter) ?? 0) + amount(one));
  return [...sums].sort(([, a], [, b]) => b - a);
}
