// Times in the browser's zone or in UTC. Everywhere else times are seconds since the epoch.

export type Zone = 'local' | 'utc';

export function zoneName(zone: Zone): string {
  return zone === 'utc' ? 'UTC' : Intl.DateTimeFormat().resolvedOptions().timeZone;
}

function parts(seconds: number, zone: Zone): Record<string, string> {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zoneName(zone),
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  return Object.fromEntries(format.formatToParts(seconds * 1000).map((part) => [part.type, part.value]));
}

/** As `<input type="datetime-local">` has it. */
export function toInput(seconds: number, zone: Zone): string {
  const { year, month, day, hour, minute } = parts(seconds, zone);
  return `${year ?? ''}-${month ?? ''}-${day ?? ''}T${hour ?? ''}:${minute ?? ''}`;
}

/** The other way; nothing where it is no time. */
export function fromInput(text: string, zone: Zone): number | null {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)/.exec(text);
  if (!match) return null;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0] = match.slice(1).map(Number);
  const time = zone === 'utc' ? Date.UTC(year, month - 1, day, hour, minute) : new Date(year, month - 1, day, hour, minute).getTime();
  return Number.isNaN(time) ? null : time / 1000;
}

export function clock(seconds: number, zone: Zone): string {
  const { hour, minute } = parts(seconds, zone);
  return `${hour ?? ''}:${minute ?? ''}`;
}

export function day(seconds: number, zone: Zone): string {
  return new Intl.DateTimeFormat('en-GB', { timeZone: zoneName(zone), day: 'numeric', month: 'short' }).format(seconds * 1000);
}

function dayAndYear(seconds: number, zone: Zone): string {
  const format = { timeZone: zoneName(zone), day: 'numeric', month: 'short', year: 'numeric' } as const;
  return new Intl.DateTimeFormat('en-GB', format).format(seconds * 1000);
}

/** As the API takes it. */
export function iso(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000', '');
}

/** A whole minute in UTC, without the punctuation that addresses would escape and files can't have. */
export function compact(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 16).replace(':', '')}Z`;
}

/** A moment. */
export function stamp(seconds: number, zone: Zone): string {
  return `${dayAndYear(seconds, zone)}, ${clock(seconds, zone)}`;
}

/** From when to when, with the day once where it is one. */
export function span(from: number, to: number, zone: Zone): string {
  const begins = stamp(from, zone);
  const sameDay = dayAndYear(from, zone) === dayAndYear(to, zone);
  return `${begins} – ${sameDay ? '' : `${dayAndYear(to, zone)}, `}${clock(to, zone)}`;
}

/** A length of time; one that is no whole number of a unit is rounded. */
export function duration(seconds: number): string {
  const units = [['d', 86_400], ['h', 3600]] as const;
  const [unit, length] = units.find(([, of]) => seconds >= of && seconds % of === 0) ?? units.find(([, of]) => seconds >= 2 * of) ?? (seconds >= 60 ? ['min', 60] : ['s', 1]);
  return `${String(Math.round(seconds / length))}\u202f${unit}`;
}
