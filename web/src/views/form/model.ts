import { choices, resolve, type Schema } from '../schema'
import type { Problem } from '../editor/problems'

/** A value of a form: JSON. Absent is undefined, never an empty text. */
export type Value = unknown

/** A choice of a field. Off says why it cannot be taken now. */
export interface Option {
  value: unknown
  label: string
  off?: string
}

/** How a field is asked for. */
export type Widget = 'text' | 'lines' | 'number' | 'check' | 'radio' | 'select' | 'object' | 'list' | 'map' | 'fixed' | 'json'

/** widgetOf decides how a schema is asked for. Options, where there are some, are choices of their own. */
export function widgetOf(s: Schema, options?: readonly Option[]): Widget {
  const of = options ?? enumOf(s)
  if (of) return of.length <= 4 && of.every((o) => o.label.length <= 24) ? 'radio' : 'select'
  if ('const' in s) return 'fixed'
  switch (typeOf(s)) {
    case 'boolean':
      return 'check'
    case 'integer':
    case 'number':
      return 'number'
    case 'string':
      return (s.maxLength ?? 0) > 200 || s.format === 'multiline' ? 'lines' : 'text'
    case 'array':
      return s.items && typeof s.items === 'object' ? 'list' : 'json'
    case 'object':
      return s.properties ? 'object' : s.additionalProperties && typeof s.additionalProperties === 'object' ? 'map' : 'json'
    default:
      return s.properties ? 'object' : 'json'
  }
}

/** typeOf is the type of a schema; of several the first that is not null. */
export function typeOf(s: Schema): string | undefined {
  if (Array.isArray(s.type)) return s.type.find((t) => t !== 'null')
  return s.type ?? (s.properties ? 'object' : s.items ? 'array' : undefined)
}

/** enumOf lists the values of an enum, or of a oneOf whose members are constants with titles; undefined of others. */
export function enumOf(s: Schema): Option[] | undefined {
  if (s.enum) return s.enum.map((value) => ({ value, label: label(value) }))
  const of = s.oneOf ?? s.anyOf
  if (of && of.length > 0 && of.every((o) => 'const' in o)) return of.map((o) => ({ value: o.const, label: o.title ?? label(o.const) }))
  return undefined
}

/** label writes a value as text. */
export function label(v: unknown): string {
  return typeof v === 'string' ? v : (JSON.stringify(v) ?? '')
}

/** simple follows references, and takes the first choice of an anyOf that is no list of constants. */
export function simple(s: Schema, root: Schema): Schema {
  const r = resolve(s, root)
  if (enumOf(r) || typeOf(r) || r.properties) return r
  const first = choices(r, root)
    .slice(1)
    .find((c) => typeOf(c) !== undefined)
  return first ? { ...first, ...(r.title ? { title: r.title } : {}), ...(r.description ? { description: r.description } : {}) } : r
}

/** start is the value a form begins with: the defaults of the schema, below what is given. */
export function start(s: Schema, given: Value, root: Schema = s): Value {
  const r = simple(s, root)
  if (r.properties) {
    const out: Record<string, unknown> = { ...(isMap(given) ? given : isMap(r.default) ? r.default : {}) }
    for (const [k, p] of Object.entries(r.properties)) {
      const v = start(p, out[k], root)
      if (v !== undefined && (!isMap(v) || Object.keys(v).length > 0 || k in out)) out[k] = v
    }
    return out
  }
  if (given !== undefined) return given
  return 'const' in r ? r.const : r.default
}

export function isMap(v: unknown): v is Record<string, unknown> {
  return typeof v === 'object' && v !== null && !Array.isArray(v)
}

/** at returns what is at a path of names and positions. */
export function at(v: Value, path: readonly (string | number)[]): Value {
  let here = v
  for (const p of path) here = here === null || typeof here !== 'object' ? undefined : (here as Record<string | number, unknown>)[p]
  return here
}

/** put returns a value with another one at a path; undefined takes away what is there. */
export function put(v: Value, path: readonly (string | number)[], to: Value): Value {
  const [head, ...rest] = path
  if (head === undefined) return to
  if (typeof head === 'number' || Array.isArray(v)) {
    const list = Array.isArray(v) ? [...v] : []
    const next = put(list[head as number], rest, to)
    if (next === undefined && rest.length === 0) list.splice(head as number, 1)
    else list[head as number] = next
    return list
  }
  const map: Record<string, unknown> = isMap(v) ? { ...v } : {}
  const next = put(map[head], rest, to)
  if (next === undefined) delete map[head]
  else map[head] = next
  return map
}

/** number reads what was typed into a number field: undefined for nothing, the text itself where it is no number, for the server to say so. */
export function number(text: string): Value {
  const t = text.trim().replace(',', '.')
  if (t === '') return undefined
  const n = Number(t)
  return Number.isFinite(n) ? n : text
}

/** filled leaves out what was not filled in: absent fields, and groups without any. */
export function filled(v: Value): Value {
  if (Array.isArray(v)) return v.filter((x) => x !== undefined && x !== '').map(filled)
  if (!isMap(v)) return v
  const out: Record<string, unknown> = {}
  for (const [k, x] of Object.entries(v)) {
    const f = filled(x)
    if (f === undefined || f === '') continue
    out[k] = f
  }
  return out
}

/** dotted writes a path as problems do: disks[0].size becomes "disks.0.size". */
export function dotted(path: readonly (string | number)[]): string {
  return path.join('.')
}

/** here turns the location of a problem into a path of the form: "body.params.disks[0].gb" becomes "disks.0.gb". */
export function here(location: string | undefined): string {
  return (location ?? '')
    .replace(/^\//, '')
    .replace(/\//g, '.')
    .replace(/\[(\w+)\]/g, '.$1')
    .replace(/^body(\.|$)/, '')
    .replace(/^(params|inputs|form)(\.|$)/, '')
}

/** pathOf returns the field a problem is about: one that is missing is told at the object it is missing in. */
export function pathOf(p: Problem): string {
  const missing = /^"([^"]+)" is missing$/.exec(p.message)?.[1]
  return [here(p.location), missing].filter(Boolean).join('.')
}

/** unfilled says of each required field without a value that it is missing, so that nobody has to ask the server. */
export function unfilled(s: Schema, v: Value, root: Schema = s, path: readonly string[] = []): Problem[] {
  const r = simple(s, root)
  const map = isMap(v) ? v : {}
  return Object.entries(r.properties ?? {}).flatMap(([k, p]): Problem[] => {
    const f = simple(p, root)
    if (map[k] === undefined || map[k] === '') {
      if (!r.required?.includes(k) || 'const' in f) return []
      return f.properties ? unfilled(f, {}, root, [...path, k]) : [{ location: [...path, k].join('.'), message: 'is needed' }]
    }
    return f.properties ? unfilled(f, map[k], root, [...path, k]) : []
  })
}

/**
 * ordered lists the fields of an object as they are asked for: by x-order where there is one, then what is
 * required in the order that required has, then the rest.
 */
export function ordered(s: Schema): [string, Schema][] {
  const rank = (k: string, p: Schema) => (typeof p['x-order'] === 'number' ? p['x-order'] : (s.required?.includes(k) ? 1000 + s.required.indexOf(k) : 2000))
  return Object.entries(s.properties ?? {}).sort(([a, x], [b, y]) => rank(a, x) - rank(b, y))
}

/** byField sorts problems by the field they are about; what is about no field that exists is under "". */
export function byField(problems: readonly Problem[], schema: Schema): Map<string, Problem[]> {
  const out = new Map<string, Problem[]>()
  for (const p of problems) {
    const path = pathOf(p)
    const key = path !== '' && known(path.split('.'), schema, schema) ? path : ''
    out.set(key, [...(out.get(key) ?? []), p])
  }
  return out
}

function known(path: string[], s: Schema, root: Schema): boolean {
  const r = simple(s, root)
  const [head, ...rest] = path
  if (head === undefined) return true
  if (r.properties?.[head]) return known(rest, r.properties[head], root)
  if (/^\d+$/.test(head) && r.items && typeof r.items === 'object') return known(rest, r.items, root)
  return r.additionalProperties !== undefined && typeof r.additionalProperties === 'object'
}

/** bounds says in words what a schema allows: "1 to 32", "at least 20", "3 to 30 characters". */
export function bounds(s: Schema): string {
  const lo = s.minimum,
    hi = s.maximum
  const step = s.multipleOf ? `in steps of ${s.multipleOf}` : ''
  const range =
    lo !== undefined && hi !== undefined ? `${lo} to ${hi}` : lo !== undefined ? `at least ${lo}` : hi !== undefined ? `at most ${hi}` : ''
  return [range, step].filter(Boolean).join(', ')
}

/** nameOf is the label of a field: its title, or its name in words: "memory_gb" becomes "Memory gb". */
export function nameOf(s: Schema, key: string | number | undefined): string {
  if (s.title) return s.title
  const words = String(key ?? '')
    .replace(/[_-]/g, ' ')
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .trim()
    .toLowerCase()
  return words.charAt(0).toUpperCase() + words.slice(1)
}
