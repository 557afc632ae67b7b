// What the page AS to AS shows, as its address has it: as Traffic by AS, but of one direction.
import { read as readTraffic, USUAL, write as writeTraffic, type State as Traffic } from '../traffic/state';

export type Side = 'in' | 'out';

export interface State extends Traffic {
  direction: Side;
}

export function read(search: URLSearchParams): State {
  const { range, connectivity, provider, exporter, filter, everywhere, zone } = readTraffic(search);
  return { ...USUAL, range, connectivity, provider, exporter, filter, everywhere, zone, direction: search.get('direction') === 'out' ? 'out' : 'in' };
}

export function write(state: Traffic): string {
  return writeTraffic({ ...state, direction: state.direction === 'out' ? 'out' : 'both' });
}
