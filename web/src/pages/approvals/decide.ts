import type { Approval, Me } from '@/api/types'
import { can } from '@/lib/me'

/** refusal says why a person may not decide an approval; "" where they may. The server checks the same. */
export function refusal(a: Approval, me: Me): string {
  const roles = (me.grants ?? []).filter((g) => g.namespace === '*' || g.namespace === a.namespace).map((g) => `role:${g.role}`)
  const is = (w: string) => w === me.subject || `user:${w}` === me.subject || roles.includes(w)
  if (a.notBy?.some(is)) return me.subject === a.requester ? 'you asked for it yourself, somebody else has to decide' : 'you are among those who may not'
  const allowed = can(me, 'approval.decide', a.namespace)
  if (!allowed.ok) return `it ${allowed.reason}`
  const to = a.to ?? []
  if (to.length > 0 && !to.some(is)) return `only ${to.map(who).join(' or ')} may`
  if (a.by?.includes(me.subject)) return 'you have approved it already'
  return ''
}

/** who writes role:approver as "the role approver", user:anna as "anna". */
export function who(subject: string): string {
  if (subject.startsWith('role:')) return `the role ${subject.slice(5)}`
  return subject.replace(/^user:/, '')
}

/** keyOf names an approval in the address. */
export function keyOf(a: Approval): string {
  return `${a.run}/${a.task}`
}
