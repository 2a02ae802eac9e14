import { useId, useMemo } from 'react'
import type { Problem } from '../editor/problems'
import type { Schema } from '../schema'
import { Field, type FieldContext } from './Field'
import { byField, put, type Option, type Value } from './model'
import './form.css'

export interface SchemaFormProps {
  schema: Schema
  value: Value
  onChange: (v: Value) => void
  problems?: readonly Problem[] // what the server says is wrong
  /** Live choices by the dotted path of a field, instead of those of the schema; "loading" until they are known. */
  options?: Record<string, readonly Option[] | 'loading'>
  disabled?: boolean
  onLeave?: (path: string) => void // a field was left
}

/**
 * SchemaForm asks for what a JSON Schema describes. It decides nothing about validity: the server does, and its
 * problems are shown at the fields they are about. It is no form element itself; the page has the buttons.
 */
export function SchemaForm(p: SchemaFormProps) {
  const id = useId()
  const problems = useMemo(() => byField(p.problems ?? [], p.schema), [p.problems, p.schema])
  const ctx: FieldContext = {
    id,
    root: p.schema,
    problems,
    options: p.options ?? {},
    disabled: p.disabled === true,
    set: (path, v) => p.onChange(put(p.value, path, v)),
    leave: (path) => p.onLeave?.(path),
  }
  const beside = problems.get('') ?? []
  return (
    <div className="sform">
      {beside.length > 0 && (
        <div role="alert">
          <ul className="sform-beside">
            {beside.map((x, i) => (
              <li key={i}>
                {x.location ? <b>{x.location}: </b> : null}
                {x.message}
                {x.hint ? ` (${x.hint})` : ''}
              </li>
            ))}
          </ul>
        </div>
      )}
      <Field ctx={ctx} schema={p.schema} path={[]} value={p.value} required />
    </div>
  )
}
