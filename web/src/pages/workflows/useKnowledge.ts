import { useEffect, useMemo, useState } from 'react'
import { useGet } from '@/api/hooks'
import type { Knowledge } from '@/views/editor/complete'
import type { Schema } from '@/views/schema'

/** useKnowledge is what completion proposes from: the kind's schema, the task types, the workflows. */
export function useKnowledge(kind: string): Knowledge | undefined {
  const types = useGet('/v1/namespaces/{namespace}/task-types', undefined, { staleTime: 60_000 })
  const flows = useGet('/v1/namespaces/{namespace}/definitions', { query: { kind: 'Workflow', limit: 1000 } }, { staleTime: 60_000 })
  const schema = useSchema(kind)
  return useMemo(
    () =>
      schema && {
        schema,
        types: (types.data?.items ?? []).map((t) => ({ name: t.name, ...(t.title && { title: t.title }), ...(t.doc && { doc: t.doc }), ...(t.with ? { with: t.with as Schema } : {}), ...(t.out ? { out: t.out as Schema } : {}) })),
        workflows: (flows.data?.items ?? []).map((d) => d.name),
      },
    [schema, types.data, flows.data],
  )
}

/** useSchema loads the JSON Schema of a kind, which nobody needs who does not edit. */
function useSchema(kind: string): Schema | undefined {
  const [schemas, set] = useState<Record<string, Schema>>()
  useEffect(() => {
    void import('@/api/kinds.json').then((m) => set(m.default as unknown as Record<string, Schema>))
  }, [])
  return schemas?.[kind]
}
