// The figures beside the pages in the navigation: how many of them need the person who looks.
import { useGet } from '@/api/hooks'
import { can, useMe, useNamespace } from '@/lib/me'

/** useCounts returns the figures by the name that pages.ts gives them. */
export function useCounts(): Record<string, number> {
  const me = useMe()
  const ns = useNamespace()
  const reads = can(me, 'request.read', ns).ok
  const failed = useGet('/v1/namespaces/{namespace}/requests', { query: { state: 'failed', requester: me.subject, limit: 100 } }, { enabled: reads })
  const waiting = useGet('/v1/namespaces/{namespace}/requests', { query: { state: 'waiting', requester: me.subject, limit: 100 } }, { enabled: reads })
  const approvals = useGet('/v1/namespaces/{namespace}/approvals', { query: { limit: 100 } }, { enabled: reads })
  return {
    requests: (failed.data?.items?.length ?? 0) + (waiting.data?.items?.length ?? 0),
    approvals: approvals.data?.items?.length ?? 0,
  }
}
