import type { Schemas } from '@/api/client'
import { useGet } from '@/api/hooks'
import { milliseconds } from '@/lib/format'

/** useUses returns how often each entry of the catalogue was asked for, and how long it took, by its name. */
export function useUses(): Map<string, Schemas['EntryUse']> {
  const q = useGet('/v1/namespaces/{namespace}/requests/stats', {}, { staleTime: 60_000, retry: false })
  return new Map((q.data?.entries ?? []).map((e) => [e.entry, e]))
}

/** usualOf is how long an entry usually takes, in ms; undefined where that is not known. */
export function usualOf(e: Schemas['EntryUse'] | undefined): number | undefined {
  return e?.p50 ? milliseconds(e.p50) : undefined
}
