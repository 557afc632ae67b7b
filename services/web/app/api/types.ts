// The API's shapes, by short names.
import type { components, operations } from './schema';

type Schemas = components['schemas'];

export type Request = Schemas['Request'];
export type Answer = Schemas['Answer'];
export type Row = Schemas['Row'];
export type Problem = Schemas['Problem'];
export type NotIn = Schemas['NotIn'];
export type Links = Schemas['Links'];
export type Link = Schemas['Link'];
export type Member = Schemas['Member'];
export type Unclassified = Schemas['Unclassified'];
export type Said = Schemas['Said'];
export type Asn = Schemas['Asn'];
export type Candidates = Schemas['Candidates'];
export type Candidate = Schemas['Candidate'];
export type CandidatesAsked = NonNullable<operations['candidates']['parameters']['query']>;
export type Exporters = Schemas['Exporters'];
export type Exporter = Schemas['Exporter'];
export type Diagnosis = Schemas['Diagnosis'];
