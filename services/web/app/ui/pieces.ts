// Where a name may be broken: behind the dots of a router's, and not at the hyphen of a short word such as DE-CIX.

/** A longer word with hyphens may be broken at them. */
const SHORT = 12;

export interface Piece {
  text: string;
  /** Whether it is never broken. */
  whole: boolean;
}

/** The name in pieces; between two of them it may be broken. */
export function pieces(name: string): Piece[] {
  const words = name.match(/\S+|\s+/gu) ?? [];
  return words.flatMap((word): Piece[] => {
    if (word.includes('-') && word.length <= SHORT) return [{ text: word, whole: true }];
    return word.split(/(?<=\.)(?=[^.])/u).map((text) => ({ text, whole: false }));
  });
}
