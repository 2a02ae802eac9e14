/** A JSON Schema, as much of it as forms and completion read. */
export interface Schema {
  $ref?: string
  $defs?: Record<string, Schema>
  type?: string | string[]
  title?: string
  description?: string
  const?: unknown
  enum?: unknown[]
  default?: unknown
  examples?: unknown[]
  properties?: Record<string, Schema>
  patternProperties?: Record<string, Schema>
  additionalProperties?: boolean | Schema
  required?: string[]
  items?: Schema | boolean
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
  format?: string
  pattern?: string
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  exclusiveMaximum?: number
  multipleOf?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
  uniqueItems?: boolean
  readOnly?: boolean
  [key: string]: unknown // x-unit, x-step, x-options and others
}

/** resolve follows a $ref inside the document; what stands beside it wins. */
export function resolve(s: Schema, root: Schema): Schema {
  for (let n = 0; s.$ref?.startsWith('#/') && n < 20; n++) {
    let at: unknown = root
    for (const part of s.$ref.slice(2).split('/')) at = (at as Record<string, unknown> | undefined)?.[part.replace(/~1/g, '/').replace(/~0/g, '~')]
    if (!at || typeof at !== 'object') return s
    const { $ref: _, ...beside } = s
    s = { ...(at as Schema), ...beside }
  }
  return s
}

/** choices returns a schema with all the schemas it may be instead. */
export function choices(s: Schema, root: Schema, depth = 0): Schema[] {
  const r = resolve(s, root)
  if (depth > 8) return [r]
  return [r, ...[...(r.anyOf ?? []), ...(r.oneOf ?? []), ...(r.allOf ?? [])].flatMap((c) => choices(c, root, depth + 1))]
}

/** inside returns the schemas of what is at a key of a map, or of the items of a list for "[]". */
export function inside(of: Schema[], root: Schema, key: string): Schema[] {
  const out: Schema[] = []
  for (const s of of.flatMap((c) => choices(c, root))) {
    if (key === '[]') {
      if (s.items && typeof s.items === 'object') out.push(s.items)
      continue
    }
    const own = s.properties?.[key]
    if (own) {
      out.push(own)
      continue
    }
    const patterns = Object.entries(s.patternProperties ?? {})
      .filter(([p]) => matches(p, key))
      .map(([, v]) => v)
    if (patterns.length > 0) out.push(...patterns)
    else if (s.additionalProperties && typeof s.additionalProperties === 'object') out.push(s.additionalProperties)
  }
  return out
}

function matches(pattern: string, key: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(key)
  } catch {
    return false
  }
}
