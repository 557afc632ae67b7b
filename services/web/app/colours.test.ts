import { expect, test } from 'vitest';
import { PALETTE, paints } from './colours';

const ASNS = ['15169', '2906', '13335', '32934', '16509', '20940', '8075', '54113', '714', '6185'];
const keys = ASNS.map((asn) => `AS${asn} Name of ${asn}`);

test('an AS has its colour whoever else is there, and whatever it is called', () => {
  const together = paints(keys);
  for (const [at, key] of keys.entries()) {
    const alone = paints([key]).get(key);
    expect(alone?.hatched).toBe(false);
    expect(together.get(key)?.colour ?? alone?.colour).toBe(alone?.colour);
    expect(paints([`AS${ASNS[at] ?? ''}`]).values().next().value).toEqual(alone);
  }
  expect(paints([...keys].reverse())).toEqual(together);
});

test('two that share a colour are told apart, and a third stays grey', () => {
  const many = Array.from({ length: 500 }, (_, at) => `AS${String(at + 1)}`);
  const all = paints(many);
  expect(all.size).toBe(2 * PALETTE.length);
  expect(new Set([...all.values()].map(({ colour, hatched }) => `${colour} ${String(hatched)}`)).size).toBe(all.size);
  // Every colour is met.
  expect(new Set([...all.values()].map(({ colour }) => colour)).size).toBe(PALETTE.length);
});

type Rgb = [number, number, number];
type Matrix = [Rgb, Rgb, Rgb];

/** What is seen without one kind of cones at all: Machado, Oliveira and Fernandes 2009, severity 1.0, of linear RGB. */
const EYES: Record<string, Matrix> = {
  usual: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protan: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deutan: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritan: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

function linear(hex: string): Rgb {
  const part = (at: number) => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return [part(1), part(3), part(5)];
}

function through(matrix: Matrix, [r, g, b]: Rgb): Rgb {
  return matrix.map(([x, y, z]) => Math.min(Math.max(x * r + y * g + z * b, 0), 1)) as Rgb;
}

/** Where colours lie so that distances are as they look: Oklab (Ottosson 2020). */
function oklab([r, g, b]: Rgb): Rgb {
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

const apart = (one: Rgb, other: Rgb) => Math.hypot(...one.map((value, at) => value - (other[at] ?? 0)));

/** Of Oklab; 0.02 is about what can just be seen side by side. */
const LEAST = 0.11;
/** All other's, in light and in dark (app.css), are told apart by their place as well. */
const GREYS = ['#c3cbd1', '#46535d'];
const LEAST_OF_GREYS = 0.09;

test('any two colours look apart to all eyes', () => {
  expect(PALETTE.length).toBeGreaterThanOrEqual(8);
  for (const [eye, matrix] of Object.entries(EYES)) {
    const seen = (colour: string) => oklab(through(matrix, linear(colour)));
    for (const [at, one] of PALETTE.entries()) {
      for (const other of PALETTE.slice(at + 1)) expect(apart(seen(one), seen(other)), `${one} and ${other}, ${eye}`).toBeGreaterThanOrEqual(LEAST);
      for (const grey of GREYS) expect(apart(seen(one), seen(grey)), `${one} and ${grey}, ${eye}`).toBeGreaterThanOrEqual(LEAST_OF_GREYS);
    }
  }
});
