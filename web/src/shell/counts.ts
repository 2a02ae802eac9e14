// The figures beside the pages in the navigation: how many of them need the person who looks.
import { useQueryClient } from '@tanstack/react-query'
import { keyOf, useGet } from '@/api/hooks'
import { can, useMe, useNamespace } from '@/lib/me'
import { useTopic } from '@/live/hooks'

const path = '/v1/namespaces/{namespace}/counts'

/** useCounts returns the figures by the name that pages.ts gives them. The stream tells when they change. */
export function useCounts(): Record<string, number> {
  const me = useMe()
  const ns = useNamespace()
  const queries = useQueryClient()
  const reads = can(me, 'run.read', ns).ok
  const q = useGet(path, {}, { enabled: reads, meta: { live: false } })
  useTopic(reads ? 'counts' : '', (batch) => {
    const last = batch.findLast((m) => m.type === 'counts')
    if (last) queries.setQueryData(keyOf(ns, path, {}), last.data)
  })
  return { requests: q.data?.failed ?? 0, approvals: q.data?.approvals ?? 0 }
}
