import { useState, type ReactNode } from 'react'
import type { Problem } from '../editor/problems'
import type { Schema } from '../schema'
import { bounds, dotted, enumOf, isMap, label, nameOf, number, ordered, simple, start, typeOf, widgetOf, type Option, type Value } from './model'

type Path = readonly (string | number)[]

export interface FieldContext {
  id: string
  root: Schema
  problems: Map<string, Problem[]>
  options: Record<string, readonly Option[] | 'loading'>
  disabled: boolean
  set: (path: Path, v: Value) => void
  leave: (path: string) => void
}

export interface FieldProps {
  ctx: FieldContext
  schema: Schema
  path: Path
  value: Value
  required?: boolean
  bare?: boolean // its label is said elsewhere
}

/** Field asks for one value, of any shape. */
export function Field(p: FieldProps) {
  const { ctx, path } = p
  const s = simple(p.schema, ctx.root)
  const live = ctx.options[path.filter((k) => typeof k === 'string').join('.')]
  const options = Array.isArray(live) ? (live as readonly Option[]) : undefined
  if (live === 'loading')
    return (
      <Frame p={p} s={s} say="Looking for what can be chosen…">
        {(a) => (
          <select {...a} disabled>
            <option>…</option>
          </select>
        )}
      </Frame>
    )
  const w = widgetOf(s, options)
  switch (w) {
    case 'object':
      return <Group p={p} s={s} />
    case 'list':
      return <List p={p} s={s} />
    case 'map':
      return <Pairs p={p} s={s} />
    case 'fixed':
      return null // there is nothing to ask
    case 'check':
      return <Check p={p} s={s} />
    case 'radio':
      return <Radios p={p} s={s} options={options ?? enumOf(s)!} />
    case 'select':
      return <Select p={p} s={s} options={options ?? enumOf(s)!} />
    case 'json':
      return <Json p={p} s={s} />
    default:
      return <Text p={p} s={s} kind={w} />
  }
}

/** What a control must carry so that its label, its help and its problems belong to it. */
interface Aria {
  id: string
  'aria-describedby': string | undefined
  'aria-invalid': true | undefined
  'aria-required': true | undefined
  'aria-label': string | undefined
  disabled: boolean
  onBlur: () => void
}

function aria(p: FieldProps, s: Schema, say: string): Aria {
  const at = dotted(p.path),
    id = `${p.ctx.id}-${at}`
  const bad = (p.ctx.problems.get(at) ?? []).length > 0
  const by = [say && id + '-help', bad && id + '-bad'].filter(Boolean).join(' ')
  return {
    id,
    'aria-describedby': by || undefined,
    'aria-invalid': bad || undefined,
    'aria-required': p.required || undefined,
    'aria-label': p.bare ? nameOf(s, p.path[p.path.length - 1]) : undefined,
    disabled: p.ctx.disabled || s.readOnly === true,
    onBlur: () => p.ctx.leave(at),
  }
}

function help(s: Schema, more = ''): string {
  return [s.description, more].filter(Boolean).join('. ').replace(/\.\. /g, '. ')
}

/** Frame puts the label above a control, its help and its problems below. */
function Frame({ p, s, say, children }: { p: FieldProps; s: Schema; say?: string; children: (a: Aria) => ReactNode }) {
  const text = say ?? help(s)
  const a = aria(p, s, text)
  return (
    <div className="sform-field" data-path={dotted(p.path)}>
      {!p.bare && (
        <label htmlFor={a.id}>
          {nameOf(s, p.path[p.path.length - 1])}
          {!p.required && <span className="sform-opt"> optional</span>}
        </label>
      )}
      {children(a)}
      {text && <small id={a.id + '-help'}>{text}</small>}
      <Bad p={p} />
    </div>
  )
}

function Bad({ p }: { p: FieldProps }) {
  const at = dotted(p.path),
    bad = p.ctx.problems.get(at) ?? []
  if (bad.length === 0) return null
  return (
    <p className="sform-bad" id={`${p.ctx.id}-${at}-bad`} role="alert">
      {bad.map((b) => b.message + (b.hint ? `: ${b.hint}` : '')).join('; ')}
    </p>
  )
}

const inputTypes: Record<string, string> = { email: 'email', uri: 'url', date: 'date', password: 'password' }

function Text({ p, s, kind }: { p: FieldProps; s: Schema; kind: 'text' | 'lines' | 'number' }) {
  const unit = typeof s['x-unit'] === 'string' ? s['x-unit'] : ''
  const examples = (s.examples ?? []).filter((e) => typeof e === 'string' || typeof e === 'number')
  const placeholder = examples.length > 0 ? `such as ${String(examples[0])}` : undefined
  const shown = p.value === undefined || p.value === null ? '' : label(p.value)
  if (kind === 'lines')
    return (
      <Frame p={p} s={s}>
        {(a) => <textarea {...a} rows={4} value={shown} placeholder={placeholder} onChange={(e) => p.ctx.set(p.path, e.target.value || undefined)} />}
      </Frame>
    )
  const given = kind === 'number' ? bounds(s) : ''
  return (
    <Frame p={p} s={s} say={help(s, given)}>
      {(a) => (
        <span className="sform-unit">
          {kind === 'number' ? (
            <NumberInput a={a} p={p} s={s} shown={shown} placeholder={placeholder} />
          ) : (
            <input
              {...a}
              type={inputTypes[s.format ?? ''] ?? 'text'}
              value={shown}
              placeholder={placeholder}
              autoComplete="off"
              spellCheck={false}
              maxLength={s.maxLength}
              onChange={(e) => p.ctx.set(p.path, e.target.value || undefined)}
            />
          )}
          {unit && <span aria-hidden="true">{unit}</span>}
        </span>
      )}
    </Frame>
  )
}

/** A number is kept as it is typed, so that "1." and "-" can be on the way to one. */
function NumberInput({ a, p, s, shown, placeholder }: { a: Aria; p: FieldProps; s: Schema; shown: string; placeholder: string | undefined }) {
  const [typed, setTyped] = useState<string>()
  return (
    <input
      {...a}
      type="text"
      inputMode={typeOf(s) === 'integer' ? 'numeric' : 'decimal'}
      value={typed ?? shown}
      placeholder={placeholder}
      autoComplete="off"
      onChange={(e) => {
        setTyped(e.target.value)
        p.ctx.set(p.path, number(e.target.value))
      }}
      onBlur={() => {
        setTyped(undefined)
        a.onBlur()
      }}
    />
  )
}

function Check({ p, s }: { p: FieldProps; s: Schema }) {
  const text = help(s),
    a = aria({ ...p, bare: false }, s, text)
  return (
    <div className="sform-field" data-path={dotted(p.path)}>
      <label className="sform-check">
        <input {...a} type="checkbox" checked={p.value === true} onChange={(e) => p.ctx.set(p.path, e.target.checked)} />
        {nameOf(s, p.path[p.path.length - 1])}
      </label>
      {text && <small id={a.id + '-help'}>{text}</small>}
      <Bad p={p} />
    </div>
  )
}

const same = (x: unknown, y: unknown) => x === y || (x !== undefined && y !== undefined && JSON.stringify(x) === JSON.stringify(y))

function Radios({ p, s, options }: { p: FieldProps; s: Schema; options: readonly Option[] }) {
  const text = help(s),
    a = aria(p, s, text)
  const off = options.filter((o) => o.off)
  return (
    <fieldset className="sform-field sform-radios" data-path={dotted(p.path)} aria-describedby={a['aria-describedby']} disabled={a.disabled}>
      <legend>
        {nameOf(s, p.path[p.path.length - 1])}
        {!p.required && <span className="sform-opt"> optional</span>}
      </legend>
      <div>
        {options.map((o, i) => (
          <label key={label(o.value)} data-off={o.off ? true : undefined} title={o.off}>
            <input
              type="radio"
              id={i === 0 ? a.id : undefined}
              name={a.id}
              checked={same(o.value, p.value)}
              disabled={o.off !== undefined}
              aria-invalid={a['aria-invalid']}
              onBlur={a.onBlur}
              onChange={() => p.ctx.set(p.path, o.value)}
            />
            {o.label}
          </label>
        ))}
        {!p.required && p.value !== undefined && (
          <button type="button" onClick={() => p.ctx.set(p.path, undefined)}>
            Clear
          </button>
        )}
      </div>
      {off.length > 0 && <small>{off.map((o) => `${o.label}: ${o.off}`).join('; ')}</small>}
      {text && <small id={a.id + '-help'}>{text}</small>}
      <Bad p={p} />
    </fieldset>
  )
}

function Select({ p, s, options }: { p: FieldProps; s: Schema; options: readonly Option[] }) {
  const i = options.findIndex((o) => same(o.value, p.value))
  const gone = p.value !== undefined && i < 0 // what was chosen is no longer offered
  return (
    <Frame p={p} s={s}>
      {(a) => (
        <select
          {...a}
          value={gone ? 'gone' : i < 0 ? '' : String(i)}
          onChange={(e) => p.ctx.set(p.path, e.target.value === '' ? undefined : options[Number(e.target.value)]!.value)}
        >
          <option value="">{options.length === 0 ? 'Nothing to choose from' : p.required ? 'Choose…' : 'None'}</option>
          {gone && (
            <option value="gone" disabled>
              {label(p.value)} (not offered)
            </option>
          )}
          {options.map((o, k) => (
            <option key={k} value={k} disabled={o.off !== undefined}>
              {o.label}
              {o.off ? ` (${o.off})` : ''}
            </option>
          ))}
        </select>
      )}
    </Frame>
  )
}

function Group({ p, s }: { p: FieldProps; s: Schema }) {
  const v = isMap(p.value) ? p.value : {}
  const fields = ordered(s).map(([k, f]) => (
    <Field key={k} ctx={p.ctx} schema={f} path={[...p.path, k]} value={v[k]} required={s.required?.includes(k) === true} />
  ))
  if (p.path.length === 0) return <div className="sform-fields">{fields}</div>
  return (
    <fieldset className="sform-group" data-path={dotted(p.path)}>
      <legend>
        {nameOf(s, p.path[p.path.length - 1])}
        {!p.required && <span className="sform-opt"> optional</span>}
      </legend>
      {s.description && <small>{s.description}</small>}
      <Bad p={p} />
      {fields}
    </fieldset>
  )
}

function List({ p, s }: { p: FieldProps; s: Schema }) {
  const items = s.items as Schema
  const v = Array.isArray(p.value) ? p.value : []
  const name = nameOf(s, p.path[p.path.length - 1])
  const item = simple(items, p.ctx.root)
  const empty = () => start(items, undefined, p.ctx.root) ?? (typeOf(item) === 'object' ? {} : typeOf(item) === 'string' ? '' : null)
  const full = s.maxItems !== undefined && v.length >= s.maxItems
  return (
    <fieldset className="sform-group" data-path={dotted(p.path)}>
      <legend>
        {name}
        {!p.required && <span className="sform-opt"> optional</span>}
      </legend>
      {s.description && <small>{s.description}</small>}
      <Bad p={p} />
      {v.map((x, i) => (
        <div className="sform-item" key={i} role="group" aria-label={`${name} ${i + 1}`}>
          <Field
            ctx={p.ctx}
            schema={{ ...item, title: `${item.title ?? name} ${i + 1}` }}
            path={[...p.path, i]}
            value={x === null ? undefined : x}
            bare={!item.properties}
            required
          />
          <button
            type="button"
            aria-label={`Remove ${name} ${i + 1}`}
            disabled={p.ctx.disabled}
            onClick={() =>
              p.ctx.set(
                p.path,
                v.filter((_, k) => k !== i),
              )
            }
          >
            Remove
          </button>
        </div>
      ))}
      <button
        type="button"
        disabled={p.ctx.disabled || full}
        title={full ? `at most ${s.maxItems}` : undefined}
        onClick={() => p.ctx.set(p.path, [...v, empty()])}
      >
        Add {name.toLowerCase()}
      </button>
    </fieldset>
  )
}

function Pairs({ p, s }: { p: FieldProps; s: Schema }) {
  const v = isMap(p.value) ? p.value : {}
  const name = nameOf(s, p.path[p.path.length - 1])
  const [key, setKey] = useState('')
  const add = () => {
    if (key === '' || key in v) return
    p.ctx.set([...p.path, key], start(s.additionalProperties as Schema, undefined, p.ctx.root) ?? '')
    setKey('')
  }
  return (
    <fieldset className="sform-group" data-path={dotted(p.path)}>
      <legend>
        {name}
        {!p.required && <span className="sform-opt"> optional</span>}
      </legend>
      {s.description && <small>{s.description}</small>}
      <Bad p={p} />
      {Object.entries(v).map(([k, x]) => (
        <div className="sform-item" key={k}>
          <Field
            ctx={p.ctx}
            schema={{ title: k, ...simple(s.additionalProperties as Schema, p.ctx.root) }}
            path={[...p.path, k]}
            value={x}
            required
          />
          <button type="button" aria-label={`Remove ${k}`} disabled={p.ctx.disabled} onClick={() => p.ctx.set([...p.path, k], undefined)}>
            Remove
          </button>
        </div>
      ))}
      <div className="sform-item">
        <input
          aria-label={`New name in ${name}`}
          placeholder="name"
          value={key}
          disabled={p.ctx.disabled}
          onChange={(e) => setKey(e.target.value)}
          onKeyDown={(e) => {
            if (e.key === 'Enter') {
              e.preventDefault()
              add()
            }
          }}
        />
        <button type="button" disabled={p.ctx.disabled || key === '' || key in v} onClick={add}>
          Add
        </button>
      </div>
    </fieldset>
  )
}

/** Json asks for what no other widget can: any JSON, told at once when it is none. */
function Json({ p, s }: { p: FieldProps; s: Schema }) {
  const [typed, setTyped] = useState<string>()
  const [bad, setBad] = useState('')
  return (
    <Frame p={p} s={s} say={bad || help(s, 'JSON')}>
      {(a) => (
        <textarea
          {...a}
          aria-invalid={bad !== '' || a['aria-invalid']}
          className="mono"
          rows={3}
          spellCheck={false}
          value={typed ?? (p.value === undefined ? '' : JSON.stringify(p.value, null, 2))}
          onChange={(e) => {
            setTyped(e.target.value)
            if (e.target.value.trim() === '') return (setBad(''), p.ctx.set(p.path, undefined))
            try {
              p.ctx.set(p.path, JSON.parse(e.target.value))
              setBad('')
            } catch (err) {
              setBad(`This is not JSON yet: ${err instanceof Error ? err.message : String(err)}`)
            }
          }}
        />
      )}
    </Frame>
  )
}
