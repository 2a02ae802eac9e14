import { useMemo, useState } from 'react'
import { parse } from 'yaml'
import { Empty } from '@/kit'
import { filled, start, type Value } from '@/views/form/model'
import { SchemaForm } from '@/views/form/SchemaForm'
import type { Schema } from '@/views/schema'

/** schemaIn returns the schema of the form that a text describes: a workflow's inputs, a resource type's schema. */
export function schemaIn(text: string, kind: string): Schema | undefined {
  try {
    const doc = parse(text.split(/^---$/m)[0] ?? '', { maxAliasCount: 100 }) as Record<string, unknown> | null
    const s = kind === 'Workflow' ? doc?.inputs : kind === 'ResourceType' ? doc?.schema : kind === 'TaskType' ? doc?.with : undefined
    return typeof s === 'object' && s !== null ? (s as Schema) : undefined
  } catch {
    return undefined // the problems say what is wrong with it
  }
}

/** FormPreview is the form as people will see it; what is filled in goes nowhere. */
export default function FormPreview({ text, kind }: { text: string; kind: string }) {
  const schema = useMemo(() => schemaIn(text, kind), [text, kind])
  if (!schema) return <Empty title="It asks for nothing">{kind === 'Preset' ? 'A preset has the form of its resource type, without what it fixes.' : 'Where a text has inputs or a schema, its form stands here as people will see it.'}</Empty>
  return <Form key={JSON.stringify(schema)} schema={schema} />
}

function Form({ schema }: { schema: Schema }) {
  const [value, setValue] = useState<Value>(() => start(schema, undefined))
  return (
    <>
      <p className="dim">As people will see it. What is filled in goes nowhere.</p>
      <SchemaForm schema={schema} value={value} onChange={setValue} />
      <details>
        <summary>What it gives</summary>
        <pre className="code pre" tabIndex={0} role="region" aria-label="What it gives">
          {JSON.stringify(filled(value), null, 2)}
        </pre>
      </details>
    </>
  )
}
