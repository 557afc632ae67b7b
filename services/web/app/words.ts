// What columns of several tables mean.

/** A column and what it means. */
export type Meaning = readonly [string, string];

export const MEANINGS = {
  average: ['Average', 'bytes of all of the time, spread evenly over it'],
  interval: ['± 95 %', 'half of the interval in which the truth lies 19 times in 20, as a part of the average: sampling makes every number an estimate'],
  max: ['Max', 'the largest average of five minutes'],
  p95: ['95th', 'of the averages of five minutes, those of no traffic too, a twentieth is larger'],
} as const satisfies Record<string, Meaning>;
