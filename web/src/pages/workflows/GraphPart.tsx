import { useEffect, useMemo, useState } from 'react'
import { ApiError, client, type Schemas } from '@/api/client'
import { Empty, ErrorBox, Skeleton } from '@/kit'
import { useNamespace } from '@/lib/me'
import { setQuery, useQueryParam } from '@/lib/router'
import { GraphView, type GraphOptions } from '@/views/graph/GraphView'
import type { Graph } from '@/views/graph/model'

/** GraphPart draws the plan of a text as it is typed. While the text is not sound, the last plan that was stays, dimmed. */
export function GraphPart({ text, file }: { text: string; file: string }) {
  const ns = useNamespace()
  const [open, setOpen] = useQueryParam('open')
  const [shut] = useQueryParam('shut')
  const [only] = useQueryParam('only')
  const [selected, setSelected] = useQueryParam('node')
  const [state, setState] = useState<{ text: string; graph?: Graph | undefined; sound: boolean; error?: ApiError }>({ text: '', sound: true })
  useEffect(() => {
    const stop = new AbortController()
    const timer = setTimeout(async () => {
      try {
        const { data } = await client.POST('/v1/namespaces/{namespace}/definitions/graph', { params: { path: { namespace: ns } }, body: { files: [{ name: file, text }], ...(open && { open }) }, signal: stop.signal })
        const g = (data as Schemas['DraftGraph']).graph
        setState((s) => ({ text, graph: g ? { ...g, nodes: (g.nodes ?? []) as Graph['nodes'], edges: (g.edges ?? []) as Graph['edges'] } : s.graph, sound: !!g }))
      } catch (e) {
        if (!stop.signal.aborted) setState((s) => ({ ...s, text, error: e instanceof ApiError ? e : new ApiError(0, { detail: String(e) }) }))
      }
    }, 400)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [ns, file, text, open])
  const options = useMemo<GraphOptions>(() => ({ shut: shut ? shut.split(',') : [], ...(only === 'critical' && { only: 'critical' as const }) }), [shut, only])
  if (state.error) return <ErrorBox error={state.error} what="The plan cannot be drawn" />
  if (!state.graph) return state.text ? <Empty title="There is no plan yet">It is drawn as soon as the text is sound.</Empty> : <Skeleton />
  return (
    <div className="wgraph">
      <GraphView
        graph={state.graph}
        status={none}
        now={0}
        plan
        options={options}
        onOptions={(o) => setQuery({ shut: (o.shut ?? []).join(','), only: o.only ?? '' })}
        onOpen={(id) => setOpen([...open.split(',').filter(Boolean), id].join(','))}
        selected={selected || undefined}
        onSelect={(id) => setSelected(id ?? '')}
        label="Plan of this text"
        dimmed={!state.sound}
      />
    </div>
  )
}

const none = new Map()
