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
