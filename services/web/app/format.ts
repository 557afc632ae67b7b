// Numbers as people of the field read them. Spaces within a number do not break.

const NARROW = '\u202f';
const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P', 'E'];

/** Three significant digits, and never an exponent. */
function three(value: number): string {
  const digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return value.toFixed(digits);
}

/** Bits a second with an SI prefix. */
export function bits(perSecond: number): string {
  const size = Math.abs(perSecond);
  if (size < 1) return `0${NARROW}bit/s`;
  let step = Math.min(Math.floor(Math.log10(size) / 3), PREFIXES.length - 1);
  if (size / 1000 ** step >= 999.5 && step < PREFIXES.length - 1) step += 1;
  const value = size / 1000 ** step;
  const sign = perSecond < 0 ? '−' : '';
  return `${sign}${step === 0 ? Math.round(value).toString() : three(value)}${NARROW}${PREFIXES[step] ?? ''}bit/s`;
}

/** The same at an axis, whose marks are round. */
export function mark(perSecond: number): string {
  return bits(perSecond).replace(/(\.\d*?)0+(?=\u202f)/, '$1').replace('.\u202f', NARROW);
}

/** An amount of bytes with an SI prefix. */
export function bytes(amount: number): string {
  return bits(amount).replace('bit/s', 'B');
}

/** A count, with its thousands apart. */
export function count(amount: number): string {
  return amount.toFixed(0).replace(/\B(?=(\d{3})+$)/g, NARROW);
}

/** Bits a second of bytes over seconds. */
export function rate(amount: number, seconds: number): number {
  return (amount * 8) / Math.max(seconds, 1);
}

export function percent(part: number): string {
  const value = part * 100;
  if (value > 0 && value < 0.05) return `<${NARROW}0.1${NARROW}%`;
  return `${value.toFixed(value >= 99.95 ? 0 : 1)}${NARROW}%`;
}

/** How much more comes in than goes out, or the other way round. */
export function ratio(bytesIn: number, bytesOut: number): string {
  if (bytesIn === 0 && bytesOut === 0) return '–';
  if (bytesOut === 0) return 'in only';
  if (bytesIn === 0) return 'out only';
  const times = bytesIn / bytesOut;
  const short = (value: number) => (value >= 99.95 ? Math.round(value).toString() : value.toFixed(1));
  return times >= 1 ? `${short(times)}${NARROW}:${NARROW}1` : `1${NARROW}:${NARROW}${short(1 / times)}`;
}

/** Half of the 95 % interval as a part of the value; of one that is not symmetric, the wider half. */
export function bound(value: number, low: number, high: number): string {
  if (value === 0) return '–';
  const part = Math.max(value - low, high - value) / value;
  return part >= 9.995 ? `>${NARROW}±999${NARROW}%` : `±${(part * 100).toFixed(part < 0.0995 ? 1 : 0)}${NARROW}%`;
}

/** How much more than before. */
export function change(now: number, before: number): string {
  if (before === 0) return now === 0 ? '–' : 'new';
  const part = now / before - 1;
  // Little was there before, as after a start: how many times that is says nothing.
  if (part >= 999) return `>${NARROW}×${NARROW}1000`;
  if (part >= 9.995) return `×${NARROW}${Math.round(now / before).toString()}`;
  const value = Math.abs(part * 100);
  return `${part < 0 ? '−' : '+'}${value.toFixed(value < 9.95 ? 1 : 0)}${NARROW}%`;
}

/** What programs say, as a sentence. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1).replace(/([^.!?])$/, '$1.');
}
