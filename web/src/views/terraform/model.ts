// A Terraform plan as the task type terraform.plan gives it: which resources change, and how.

export interface Attribute {
  path: string
  before?: unknown
  after?: unknown
  unknown?: boolean
  sensitive?: boolean
  forces?: boolean
}

export interface Change {
  address: string
  type: string
  action: string
  why?: string
  attributes?: Attribute[]
}

export interface TerraformPlan {
  digest?: string
  summary: { add: number; change: number; destroy: number; import?: number; drifted?: number }
  changes: Change[]
  drift?: Change[]
  outputs?: Attribute[]
  policies?: { name: string; result: string; doc?: string }[]
  cost?: { before: string; after: string; delta: string }
  cut?: boolean
}

/** planOf returns a value as a plan; undefined where it is none. */
export function planOf(value: unknown): TerraformPlan | undefined {
  const v = value as Partial<TerraformPlan> | null | undefined
  if (!v || typeof v !== 'object' || !v.summary || typeof v.summary.add !== 'number') return undefined
  return { ...v, summary: v.summary, changes: Array.isArray(v.changes) ? v.changes : [] }
}

/** What an action is called, its sign, and how far up it stands: what is lost comes first. */
const actions: Record<string, { sign: string; word: string; rank: number }> = {
  delete: { sign: '−', word: 'destroy', rank: 0 },
  replace: { sign: '±', word: 'replace', rank: 1 },
  forget: { sign: '−', word: 'forget', rank: 2 },
  update: { sign: '~', word: 'change', rank: 3 },
  create: { sign: '+', word: 'create', rank: 4 },
  import: { sign: '+', word: 'import', rank: 5 },
  read: { sign: '·', word: 'read', rank: 6 },
}

export const actionOf = (action: string) => actions[action] ?? { sign: '?', word: action, rank: 7 }

/** ordered puts what is destroyed first, then what is replaced, changed and created; within each as Terraform has it. */
export function ordered(changes: Change[]): Change[] {
  return changes.map((c, i) => [c, i] as const).sort(([a, i], [b, j]) => actionOf(a.action).rank - actionOf(b.action).rank || i - j).map(([c]) => c)
}

/** headline says a plan in a line: "1 to destroy, 2 to change, 3 to create". */
export function headline(p: TerraformPlan): string {
  const { add, change, destroy, drifted } = p.summary
  const parts = [destroy && `${destroy} to destroy`, change && `${change} to change`, add && `${add} to create`].filter(Boolean)
  return (parts.length ? parts.join(', ') : 'nothing to change') + (drifted ? `; ${drifted} changed in the world since` : '')
}

/** valueOf writes a value of an attribute. */
export function valueOf(a: Attribute, side: 'before' | 'after'): string {
  if (a.sensitive) return 'kept from you'
  if (side === 'after' && a.unknown) return 'known once it is applied'
  const v = a[side]
  if (v === undefined || v === null) return ''
  return typeof v === 'string' ? v : JSON.stringify(v)
}
