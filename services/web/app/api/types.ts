// The API's shapes, by short names.
import type { components } from './schema';

type Schemas = components['schemas'];

export type Request = Schemas['Request'];
export type Answer = Schemas['Answer'];
export type Row = Schemas['Row'];
export type Problem = Schemas['Problem'];
export type NotIn = Schemas['NotIn'];
export type Dimension = Schemas['Dimension'];
