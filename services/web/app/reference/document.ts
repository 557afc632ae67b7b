// The API's own description, as far as a page shows it: what can be asked, with which values, and what comes back.

export interface Schema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  example?: unknown;
  enum?: unknown[];
  oneOf?: Schema[];
  items?: Schema;
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
}

interface Content {
  schema?: Schema;
  example?: unknown;
}

interface Described {
  operationId?: string;
  summary?: string;
  description?: string;
  parameters?: { name: string; in: string; description?: string; required?: boolean; schema?: Schema }[];
  requestBody?: { content: Record<string, Content> };
  responses: Record<string, { description?: string; content?: Record<string, Content> }>;
}

export interface Document {
  paths: Record<string, Record<string, Described>>;
  components?: { schemas?: Record<string, Schema> };
}

export interface Field {
  name: string;
  type: string;
  doc: string;
  required: boolean;
}

export interface Parameter extends Field {
  within: 'path' | 'query';
}

export interface Operation {
  id: string;
  method: string;
  path: string;
  title: string;
  parameters: Parameter[];
  /** A body to begin with; none is sent where there is none. */
  body: string | null;
  fields: Field[];
  /** What an answer can be written in, the usual first. */
  accepts: string[];
  answers: { status: string; doc: string; fields: Field[] }[];
}

const METHODS = ['get', 'post', 'put', 'delete'];

function resolved(document: Document, schema: Schema | undefined): { name: string; schema: Schema } {
  if (schema?.$ref === undefined) return { name: '', schema: schema ?? {} };
  const name = schema.$ref.split('/').at(-1) ?? '';
  return { name, schema: document.components?.schemas?.[name] ?? {} };
}

/** Prose without the marks that set names apart. */
function plain(text: string | undefined): string {
  return (text ?? '').replaceAll('`', '');
}

/** What a value is, in a few words. */
export function typeOf(document: Document, schema: Schema | undefined): string {
  const { name, schema: found } = resolved(document, schema);
  const choices = (found.oneOf ?? []).filter((one) => one.type !== 'null');
  if (choices.length === 1) return typeOf(document, choices[0]);
  const words = found.enum ?? choices.flatMap((one) => one.enum ?? []);
  if (words.length > 0) return words.map(String).join(', ');
  const types = [found.type ?? []].flat().filter((one) => one !== 'null');
  if (types.includes('array')) return `list of ${typeOf(document, found.items)}`;
  if (name !== '' && (types.length === 0 || types.includes('object'))) return name;
  return types.join(' or ') || 'any';
}

function fieldsOf(document: Document, schema: Schema | undefined): Field[] {
  const { schema: found } = resolved(document, schema);
  const parts = [found, ...(found.allOf ?? []).map((part) => resolved(document, part).schema)];
  return parts.flatMap((part) =>
    Object.entries(part.properties ?? {}).map(([name, property]) => ({
      name,
      type: typeOf(document, property),
      doc: plain(property.description ?? resolved(document, (property.oneOf ?? []).find((one) => one.$ref !== undefined) ?? property).schema.description),
      required: part.required?.includes(name) ?? false,
    })),
  );
}

function operation(document: Document, path: string, method: string, of: Described): Operation {
  const asked = of.requestBody?.content['application/json'];
  const example = asked?.example ?? resolved(document, asked?.schema).schema.example ?? {};
  const answered = Object.entries(of.responses);
  return {
    id: of.operationId ?? `${method} ${path}`,
    method: method.toUpperCase(),
    path,
    title: [of.summary, of.description].map(plain).filter((text) => text !== '').join(' '),
    parameters: (of.parameters ?? []).flatMap((one) =>
      one.in === 'path' || one.in === 'query'
        ? [{ name: one.name, within: one.in, type: typeOf(document, one.schema), doc: plain(one.description), required: one.required ?? false }]
        : [],
    ),
    body: asked ? JSON.stringify(example, null, 2) : null,
    fields: fieldsOf(document, asked?.schema),
    accepts: Object.keys(of.responses['200']?.content ?? {}),
    answers: answered.map(([status, answer]) => ({ status, doc: answer.description ?? '', fields: Number(status) < 300 ? fieldsOf(document, answer.content?.['application/json']?.schema) : [] })),
  };
}

/** All of them; questions stand first, since they are most of what is asked. */
export function operations(document: Document): Operation[] {
  const first = (path: string) => Number(!path.endsWith('/query'));
  const paths = Object.entries(document.paths).sort(([one], [other]) => first(one) - first(other));
  return paths.flatMap(([path, item]) => METHODS.flatMap((method) => (item[method] ? [operation(document, path, method, item[method])] : [])));
}

/** Where a question goes, with the values that were filled in. */
export function address(one: Operation, values: Readonly<Record<string, string>>): string {
  const search = new URLSearchParams();
  let path = one.path;
  for (const { name, within } of one.parameters) {
    const value = values[name] ?? '';
    if (within === 'path') path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value !== '') search.set(name, value);
  }
  return path + (search.size === 0 ? '' : `?${search.toString()}`);
}

/** Text as a shell takes it, whatever is in it. */
function shell(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The same question for a shell. A token is left for who asks to fill in. */
export function curl(origin: string, one: Operation, to: string, body: string, accept: string, token: boolean): string {
  return [
    `curl -s ${one.method === 'GET' ? '' : `-X ${one.method} `}${shell(origin + to)}`,
    ...(accept === '' || accept === 'application/json' ? [] : [`-H 'accept: ${accept}'`]),
    ...(token ? ['-H "authorization: Bearer $TOKEN"'] : []),
    ...(one.body === null ? [] : [`-H 'content-type: application/json'`, `-d ${shell(body)}`]),
  ].join(' \\\n  ');
}

/** An answer as people read it. */
export function pretty(text: string, kind: string): string {
  if (!kind.includes('json')) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
