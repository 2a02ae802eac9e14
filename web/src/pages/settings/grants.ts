import type { Me } from '@/api/types'

/** The roles that can be granted, weakest first. */
export const roles = ['viewer', 'worker', 'approver', 'operator', 'author', 'admin'] as const

export interface Grant {
  namespace: string
  role: string
}

/** grantsText writes grants as "admin in default, viewer everywhere". */
export function grantsText(grants: readonly Grant[] | null | undefined): string {
  return (grants ?? []).map((g) => `${g.role} ${g.namespace === '*' ? 'everywhere' : `in ${g.namespace}`}`).join(', ') || 'nothing'
}

/** parseGrants reads "default=admin, *=viewer"; a text instead says what is wrong with it. */
export function parseGrants(text: string): Grant[] | string {
  const out: Grant[] = []
  for (const part of text.split(/[\s,]+/).filter(Boolean)) {
    const m = /^([a-z][a-z0-9-]*|\*)=([a-z]+)$/.exec(part)
    if (!m) return `“${part}” is no grant: write a namespace and a role, such as default=operator`
    if (!(roles as readonly string[]).includes(m[2]!)) return `there is no role ${m[2]}: one of ${roles.join(', ')}`
    out.push({ namespace: m[1]!, role: m[2]! })
  }
  return out
}

/** writeGrants is what parseGrants reads. */
export function writeGrants(grants: readonly Grant[] | null | undefined): string {
  return (grants ?? []).map((g) => `${g.namespace}=${g.role}`).join(', ')
}

/** rolesUpTo lists the roles that somebody who holds one in a namespace may pass on. */
export function rolesUpTo(me: Me, ns: string): string[] {
  const held = (me.grants ?? []).filter((g) => g.namespace === '*' || g.namespace === ns).map((g) => (roles as readonly string[]).indexOf(g.role))
  const best = Math.max(-1, ...held)
  return roles[best] === 'admin' ? [...roles] : roles.filter((r, i) => i <= best && (r === 'viewer' || i === best))
}
