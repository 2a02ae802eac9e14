import { useQueries } from '@tanstack/react-query'
import { lazy, Suspense, useMemo } from 'react'
import { fetchGet, keyOf, useGet } from '@/api/hooks'
import { Empty, Loaded, Skeleton, Tag } from '@/kit'
import { useNamespace } from '@/lib/me'
import { Link } from '@/lib/router'
import { pageOf } from './kinds'
import { usesOf } from './uses'

const Form = lazy(() => import('./FormPreview'))

/** FormPart shows the form that the text describes. */
export function FormPart({ text, kind }: { text: string; kind: string }) {
  return (
    <Suspense fallback={<Skeleton />}>
      <Form text={text} kind={kind} />
    </Suspense>
  )
}

const list = '/v1/namespaces/{namespace}/definitions'
const one = '/v1/namespaces/{namespace}/definitions/{kind}/{name}'
/** The most definitions that are looked through. */
const most = 300

/** UsersPart lists what uses a definition: workflows that call it, resource types that are built by it, presets of it. */
export function UsersPart({ kind, name }: { kind: string; name: string }) {
  const ns = useNamespace()
  const all = useGet(list, { query: { limit: 1000 } })
  const others = useMemo(() => (all.data?.items ?? []).filter((d) => !(d.kind === kind && d.name === name)).slice(0, most), [all.data, kind, name])
  const documents = useQueries({
    queries: others.map((d) => {
      const init = { path: { kind: d.kind, name: d.name }, query: { version: d.version } }
      return { queryKey: keyOf(ns, one, init), queryFn: ({ signal }: { signal: AbortSignal }) => fetchGet(ns, one, init, signal), staleTime: Infinity, meta: { live: false } }
    }),
    combine: (rs) => ({ documents: rs.map((r) => r.data?.document), busy: rs.some((r) => r.isPending) }),
  })
  return (
    <Loaded query={all} what="What uses it cannot be found out">
      {() => {
        const found = others.flatMap((d, i) => {
          const how = usesOf(documents.documents[i], kind, name)
          return how ? [{ d, how }] : []
        })
        if (documents.busy) return <Skeleton />
        if (found.length === 0) return <Empty title="Nothing uses it">No definition of this namespace calls it or is built by it.{others.length === most && ` The first ${most} were looked through.`}</Empty>
        return (
          <ul className="changes">
            {found.map(({ d, how }) => (
              <li key={d.kind + d.name}>
                <Tag>{d.kind}</Tag> <Link to={pageOf(d)} className="strong">{d.name}</Link> <span className="dim">{how}</span>
              </li>
            ))}
          </ul>
        )
      }}
    </Loaded>
  )
}
