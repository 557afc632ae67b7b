/** A range that was dragged, widened to whole slots and minutes: answers are of whole ones. */
export function wholeSlots(borders: readonly number[], from: number, to: number): { from: number; to: number } {
  const begins = borders.findLast((border) => border <= from) ?? from;
  const ends = borders.find((border) => border >= to) ?? to;
  return { from: Math.floor(begins / 60) * 60, to: Math.ceil(ends / 60) * 60 };
}
