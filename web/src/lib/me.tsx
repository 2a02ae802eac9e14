// Who is logged in, which namespace is chosen, and what may be done there.
import { createContext, useContext } from 'react'
import type { Me } from '@/api/types'
import { roleFor, type Permission } from '@/api/roles'
import { useAddress } from './router'

export const MeContext = createContext<Me | null>(null)

/** useMe returns who is logged in. Pages are only drawn when somebody is. */
export function useMe(): Me {
  const me = useContext(MeContext)
  if (!me) throw new Error('nobody is logged in')
  return me
}

/** namespacesOf returns the namespaces a person holds a role in; "*" is left out. */
function granted(me: Me | null): string[] {
  return (me?.grants ?? []).map((g) => g.namespace).filter((n) => n !== '*')
}

/** useNamespace returns the chosen namespace: ?ns= of the address, else default, else the first granted. */
export function useNamespace(): string {
  const me = useContext(MeContext)
  const { query } = useAddress()
  const all = granted(me)
  return query.get('ns') ?? (all.length === 0 || all.includes('default') ? 'default' : all[0]!)
}

export interface Allowed {
  ok: boolean
  /** Why not, for people: "needs the role operator in default". */
  reason: string
}

/** useCan tells whether the person may do something in the namespace (or in all, where everywhere is set). */
export function useCan(perm: Permission | undefined, everywhere = false): Allowed {
  const me = useContext(MeContext)
  const ns = useNamespace()
  return can(me, perm, everywhere ? '*' : ns)
}

/** can is useCan without React. */
export function can(me: Me | null, perm: Permission | undefined, ns: string): Allowed {
  if (!perm) return { ok: true, reason: '' }
  const held = me?.permissions ?? {}
  if (held['*']?.includes(perm) || held[ns]?.includes(perm)) return { ok: true, reason: '' }
  return { ok: false, reason: `needs the role ${roleFor[perm] ?? 'admin'} ${ns === '*' ? 'in every namespace' : `in ${ns}`}` }
}
