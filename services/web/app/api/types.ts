import type { components } from './schema';
type Schemas = components['schemas'];
export type Request = Schemas['Request'] & { zone?: string; interval?: string; peaks?: boolean; other?: boolean; previous?: boolean; order?: 'both'|'in'|'out' };
type Peaks = { max_in: number; max_out: number; p95_in: number; p95_out: number; rough_max_in: boolean; rough_max_out: boolean; rough_p95_in: boolean; rough_p95_out: boolean };
export type Row = Schemas['Row'] & { series?: {bytes_in: number[]; bytes_out: number[]}; peaks?: Peaks; previous?: { bytes_in: number; bytes_out: number } };
export type Answer = Omit<Schemas['Answer'], 'rows'|'total'> & { series?: {interval: number; starts: number[]}; rows: Row[]; total: Row; other?: Row };
export type Problem = Schemas['Problem'];
export type NotIn = Schemas['NotIn'];
export type Dimension = Schemas['Dimension'];
