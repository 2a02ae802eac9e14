// What was filled in and not yet sent is kept in this browser, by namespace and entry.
import type { Value } from '@/views/form/model'

/** Draft is a form that was begun. Its key makes sending it twice one request. */
export interface Draft {
  value: Value
  title: string
  notify: string
  key: string
}

const place = (ns: string, entry: string) => `draft:${ns}:${entry}`

/** kept returns the draft of an entry; undefined where there is none. */
export function kept(ns: string, entry: string): Draft | undefined {
  try {
    const d = JSON.parse(localStorage.getItem(place(ns, entry)) ?? 'null') as Draft | null
    return d && typeof d === 'object' && typeof d.key === 'string' ? d : undefined
  } catch {
    return undefined
  }
}

/** keep stores a draft, where the browser lets us. */
export function keep(ns: string, entry: string, d: Draft): void {
  try {
    localStorage.setItem(place(ns, entry), JSON.stringify(d))
  } catch {
    // Storage is off or full: the form works without.
  }
}

/** drop forgets a draft. */
export function drop(ns: string, entry: string): void {
  try {
    localStorage.removeItem(place(ns, entry))
  } catch {
    // As above.
  }
}
