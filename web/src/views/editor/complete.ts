import { contextAt } from './context'
import { choices, inside, type Schema } from '../schema'

/** What completion knows beside the text. */
export interface Knowledge {
  schema: Schema // of the kind of document
  types: TaskTypeInfo[]
  workflows: string[] // that can be called
}

export interface TaskTypeInfo {
  name: string
  title?: string
  doc?: string
  with?: Schema
  out?: Schema
}

export interface Suggestion {
  label: string
  insert: string
  detail?: string
  info?: string
  kind: 'property' | 'enum' | 'type' | 'variable'
  first?: boolean // it is required
}

/** suggest returns what may be written at an offset, and from where on it replaces the text. */
export function suggest(text: string, offset: number, k: Knowledge): { from: number; options: Suggestion[] } | undefined {
  const c = contextAt(text, offset)
  if (c.kind === 'none') return undefined
  if (c.kind === 'expression') return expression(text, c.word, c.from, k)
  const last = c.path[c.path.length - 1]
  if (c.kind === 'value' && last === 'use') return { from: c.from, options: uses(k) }
  const [at, root] = schemasAt(c.path, c.use, k)
  const options = c.kind === 'key' ? keys(at, root, c.siblings) : values(at, root)
  if (c.kind === 'value' && (last === 'needs' || last === 'after' || last === '[]')) options.push(...tasksAround(c.path, text))
  return options.length > 0 ? { from: c.from, options } : undefined
}

/** schemasAt walks the schema of the kind; inside "with", that of the task type. */
function schemasAt(path: string[], use: string, k: Knowledge): [Schema[], Schema] {
  const w = path.lastIndexOf('with')
  const type = w >= 0 ? k.types.find((t) => t.name === use)?.with : undefined
  let at: Schema[] = [type ?? k.schema]
  const root = type ?? k.schema
  for (const key of type ? path.slice(w + 1) : path) at = inside(at, root, key)
  return [at, root]
}

function keys(of: Schema[], root: Schema, siblings: string[]): Suggestion[] {
  const out = new Map<string, Suggestion>()
  for (const s of of.flatMap((c) => choices(c, root))) {
    for (const [name, raw] of Object.entries(s.properties ?? {})) {
      if (siblings.includes(name) || out.has(name)) continue
      const p = choices(raw, root)
      const map = p.some((v) => v.type === 'object' || v.properties || v.patternProperties)
      const info = p.find((v) => v.description)?.description ?? p.find((v) => v.title)?.title
      if (info?.startsWith('not available')) continue
      const required = s.required?.includes(name) === true
      out.set(name, {
        label: name,
        insert: name + (map ? ':' : ': '),
        detail: required ? 'required' : kindOf(p),
        kind: 'property',
        first: required,
        ...(info ? { info } : {}),
      })
    }
  }
  return [...out.values()]
}

function kindOf(of: Schema[]): string {
  const types = new Set(of.flatMap((s) => (s.enum ? ['one of ' + s.enum.length] : typeof s.type === 'string' ? [s.type] : (s.type ?? []))))
  return [...types].join(' or ')
}

function values(of: Schema[], root: Schema): Suggestion[] {
  const out = new Map<string, Suggestion>()
  for (const s of of.flatMap((c) => choices(c, root))) {
    const list = [
      ...(s.enum ?? []),
      ...('const' in s ? [s.const] : []),
      ...(s.type === 'boolean' ? [true, false] : []),
      ...('default' in s ? [s.default] : []),
      ...(s.examples ?? []),
    ]
    for (const v of list) {
      if (v === null || typeof v === 'object') continue
      const t = String(v)
      if (!out.has(t))
        out.set(t, {
          label: t,
          insert: t,
          kind: 'enum',
          ...(v === s.default ? { detail: 'default' } : {}),
          ...(s.description ? { info: s.description } : {}),
        })
    }
  }
  return [...out.values()]
}

function uses(k: Knowledge): Suggestion[] {
  return [
    ...k.types.map((t) => ({
      label: t.name,
      insert: t.name,
      kind: 'type' as const,
      ...(t.title ? { detail: t.title } : {}),
      ...(t.doc ? { info: t.doc } : {}),
    })),
    ...k.workflows.map((w) => ({ label: 'workflow:' + w, insert: 'workflow:' + w, kind: 'type' as const, detail: 'workflow' })),
  ]
}

/** taskIds lists the ids of tasks anywhere in a document, by how they are written. */
export function taskIds(text: string): { id: string; use: string }[] {
  const out = new Map<string, string>()
  const stack: { indent: number; key: string }[] = []
  for (const raw of text.split('\n')) {
    const m = /^(\s*)([A-Za-z_][A-Za-z0-9_.-]*):(\s|$)(.*)$/.exec(raw)
    if (!m || raw.trim().startsWith('#')) continue
    const indent = m[1]!.length,
      key = m[2]!
    while (stack.length > 0 && stack[stack.length - 1]!.indent >= indent) stack.pop()
    const parent = stack[stack.length - 1]
    if (parent && (parent.key === 'tasks' || parent.key === 'finally') && !stack.some((s) => s.key === 'with' || s.key === 'inputs'))
      out.set(key, /\buse:\s*([A-Za-z0-9._:-]+)/.exec(m[4]!)?.[1] ?? '')
    if (key === 'use' && parent && out.get(parent.key) === '') out.set(parent.key, m[4]!.trim())
    stack.push({ indent, key })
  }
  return [...out].map(([id, use]) => ({ id, use }))
}

function tasksAround(path: string[], text: string): Suggestion[] {
  if (!path.includes('needs') && !path.includes('after')) return []
  return taskIds(text).map((t) => ({ label: t.id, insert: t.id, kind: 'variable' as const, ...(t.use ? { detail: t.use } : {}) }))
}

const roots: Record<string, string> = {
  inputs: 'what the run was started with',
  tasks: 'tasks that this one waits for',
  vars: 'values computed when the run starts',
  run: 'the run itself',
  secrets: 'secrets by name; only inside with',
  item: 'the item of an each',
  out: 'what this task gave; in undo',
  error: 'why it failed; in retry.if',
}
const runFields = ['id', 'trace', 'requester', 'request', 'started', 'status', 'workflow', 'failed']

function expression(text: string, word: string, from: number, k: Knowledge): { from: number; options: Suggestion[] } | undefined {
  const parts = word.replace(/\?/g, '').split('.')
  const last = parts.pop()!
  const at = from + word.length - last.length
  const names = (list: string[], info?: (n: string) => string | undefined): { from: number; options: Suggestion[] } => ({
    from: at,
    options: list.map((n) => {
      const i = info?.(n)
      return { label: n, insert: n, kind: 'variable' as const, ...(i ? { info: i } : {}) }
    }),
  })
  const tasks = taskIds(text)
  if (parts.length === 0) return names(Object.keys(roots), (n) => roots[n])
  if (parts.length === 1 && parts[0] === 'inputs') return names(inputsOf(text))
  if (parts.length === 1 && parts[0] === 'run') return names(runFields)
  if (parts[0] !== 'tasks') return undefined
  if (parts.length === 1)
    return names(
      tasks.map((t) => t.id),
      (n) => tasks.find((t) => t.id === n)?.use,
    )
  if (parts.length === 2) return names(['out', 'status', 'error'])
  const out = k.types.find((t) => t.name === tasks.find((x) => x.id === parts[1])?.use)?.out
  if (parts[2] !== 'out' || !out) return undefined
  let here: Schema[] = [out]
  for (const p of parts.slice(3)) here = inside(here, out, p)
  const props = here.flatMap((s) => choices(s, out)).flatMap((s) => Object.keys(s.properties ?? {}))
  return props.length > 0 ? names([...new Set(props)]) : undefined
}

/** inputsOf lists the names under inputs.properties, as they are written. */
function inputsOf(text: string): string[] {
  const lines = text.split('\n')
  const start = lines.findIndex((l) => /^inputs:/.test(l))
  if (start < 0) return []
  const props = lines.findIndex((l, i) => i > start && /^\s+properties:/.test(l))
  if (props < 0 || lines.slice(start + 1, props).some((l) => /^\S/.test(l))) return []
  const flow = /properties:\s*\{(.*)$/.exec(lines[props]!)
  if (flow) return [...flow[1]!.matchAll(/(?:^|\},?\s*|,\s*)([A-Za-z_]\w*):\s*\{/g)].map((m) => m[1]!)
  const out: string[] = []
  let indent = -1
  for (const l of lines.slice(props + 1)) {
    const m = /^(\s+)([A-Za-z_]\w*):/.exec(l)
    if (/^\S/.test(l)) break
    if (!m) continue
    if (indent < 0) indent = m[1]!.length
    if (m[1]!.length < indent) break
    if (m[1]!.length === indent) out.push(m[2]!)
  }
  return out
}
