import type { Schemas } from '@/api/client'

type Act = Schemas['Act']

/** matching reports whether all words are somewhere in an act. */
export function matching(a: Act, find: string): boolean {
  const words = find.toLowerCase().split(/\s+/).filter(Boolean)
  if (words.length === 0) return true
  const text = [a.subject, a.action, a.object, a.from, a.trace, a.service, JSON.stringify(a.detail)].join(' ').toLowerCase()
  return words.every((w) => text.includes(w))
}

/** lines writes acts as JSON lines. */
export function lines(acts: Act[]): string {
  return acts.map((a) => JSON.stringify({ at: a.at, subject: a.subject, from: a.from, namespace: a.namespace, action: a.action, object: a.object, trace: a.trace, detail: a.detail, service: a.service })).join('\n') + '\n'
}

/** change lists what differs between before and after in an act's detail; undefined where it tells no change. */
export function change(detail: unknown): [string, string, string][] | undefined {
  const d = detail as { before?: unknown; after?: unknown } | null | undefined
  if (!d || typeof d !== 'object' || !('before' in d || 'after' in d)) return undefined
  const map = (v: unknown): Record<string, unknown> => (v && typeof v === 'object' && !Array.isArray(v) ? (v as Record<string, unknown>) : v === undefined || v === null ? {} : { value: v })
  const before = map(d.before)
  const after = map(d.after)
  const text = (v: unknown) => (v === undefined ? '' : typeof v === 'string' ? v : JSON.stringify(v))
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((k) => text(before[k]) !== text(after[k])).map((k) => [k, text(before[k]), text(after[k])])
}
