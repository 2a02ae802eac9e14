import type { Schemas } from '@/api/client'

export interface Variable {
  name: string
  value: unknown
  /** "input", "vars", "step build.apply", "secret". */
  from: string
  readers: string[]
  /** A secret: its value is never here. */
  secret?: boolean
}

/** readersOf finds in the document of a workflow which tasks name which values: "inputs.name", "tasks.build", "vars.x", "secrets.token". */
export function readersOf(document: unknown): Map<string, string[]> {
  const found = new Map<string, Set<string>>()
  const walk = (tasks: unknown, prefix: string) => {
    if (!tasks || typeof tasks !== 'object') return
    for (const [id, t] of Object.entries(tasks as Record<string, unknown>)) {
      const { tasks: inner, ...own } = (t ?? {}) as Record<string, unknown>
      for (const m of JSON.stringify(own).matchAll(/\b(inputs|tasks|vars|secrets)\.([A-Za-z_][A-Za-z0-9_]*)/g)) {
        const key = `${m[1]}.${m[2]}`
        found.set(key, (found.get(key) ?? new Set()).add(prefix + id))
      }
      walk(inner, prefix + id + '.')
    }
  }
  const d = (document ?? {}) as Record<string, unknown>
  walk(d['tasks'], '')
  walk(d['finally'], 'finally.')
  return new Map([...found].map(([k, v]) => [k, [...v]]))
}

/** variables returns every value of a run, with where it came from and which tasks read it. */
export function variables(run: Schemas['Run'], tasks: Schemas['Task'][], document: unknown): Variable[] {
  const readers = readersOf(document)
  const out: Variable[] = []
  const entries = (v: unknown): [string, unknown][] => (v && typeof v === 'object' && !Array.isArray(v) ? Object.entries(v) : [])
  for (const [k, value] of entries(run.inputs)) out.push({ name: `inputs.${k}`, value, from: 'input', readers: readers.get(`inputs.${k}`) ?? [] })
  const d = (document ?? {}) as { vars?: Record<string, unknown> }
  for (const [k, value] of entries(d.vars)) out.push({ name: `vars.${k}`, value, from: 'definition', readers: readers.get(`vars.${k}`) ?? [] })
  for (const t of tasks) {
    const top = t.path.split(/[.[]/)[0] ?? ''
    for (const [k, value] of entries(t.output)) out.push({ name: `tasks.${t.path}.out.${k}`, value, from: `step ${t.title || t.path}`, readers: readers.get(`tasks.${top}`) ?? [] })
    for (const [k, value] of entries(t.vars)) out.push({ name: `tasks.${t.path}.vars.${k}`, value, from: `set by ${t.title || t.path}`, readers: [] })
  }
  for (const [k, r] of readers) if (k.startsWith('secrets.')) out.push({ name: k, value: '', from: 'secret', readers: r, secret: true })
  for (const [k, value] of entries(run.outputs)) out.push({ name: `outputs.${k}`, value, from: 'output of the run', readers: [] })
  return out
}
