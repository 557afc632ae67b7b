// Speeds, prices and ASes as people write them. What can't be read is undefined.

const STEPS = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 } as const;
const MOST_ASN = 4_294_967_295;

/** "100G", "2.5 Gbit/s" or "500M" in bit/s; nothing written is 0. */
export function readSpeed(text: string): number | undefined {
  if (text.trim() === '') return 0;
  const match = /^\s*(\d+(?:[.,]\d+)?)\s*([kmgt]?)(?:bit\/s|bps|b\/s)?\s*$/i.exec(text);
  if (!match) return undefined;
  const step = STEPS[(match[2] ?? '').toLowerCase() as keyof typeof STEPS];
  const speed = Math.round(Number((match[1] ?? '').replace(',', '.')) * step);
  return Number.isSafeInteger(speed) ? speed : undefined;
}

export function writeSpeed(speed: number): string {
  if (speed === 0) return '';
  const [unit, step] = (Object.entries(STEPS).reverse().find(([, size]) => speed >= size && Number.isInteger((speed / size) * 1000)) ?? ['', 1]) as [string, number];
  return `${String(speed / step)}${unit === 'k' ? 'k' : unit.toUpperCase()}`;
}

/** A price in thousandths of the currency's unit. */
export function readPrice(text: string): number | undefined {
  if (text.trim() === '') return 0;
  return /^\s*\d{1,12}(?:[.,]\d{1,3})?\s*$/.test(text) ? Math.round(Number(text.replace(',', '.')) * 1000) : undefined;
}

export function writePrice(price: number): string {
  return price === 0 ? '' : String(price / 1000);
}

export function readAsn(text: string): number | undefined {
  if (text.trim() === '') return 0;
  const asn = Number(/^\s*(?:AS)?\s*(\d{1,10})\s*$/i.exec(text)?.[1] ?? NaN);
  return asn <= MOST_ASN ? asn : undefined;
}
