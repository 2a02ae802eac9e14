import { useEffect, useMemo, useRef, useState } from 'react'
import type { Schemas } from '@/api/client'
import { useAction, useGet } from '@/api/hooks'
import { Button, ErrorBox, Field, Loaded, Menu, Page, Panel, Skeleton } from '@/kit'
import { copy } from '@/lib/copy'
import { useNamespace } from '@/lib/me'
import { navigate, useQueryParam } from '@/lib/router'
import { filled, isMap, pathOf, start, unfilled, type Value } from '@/views/form/model'
import { SchemaForm } from '@/views/form/SchemaForm'
import type { Schema } from '@/views/schema'
import { drop, keep, kept } from './draft'
import { useOptions } from './options'
import { Review } from './Review'
import { Summary } from './Summary'
import { asCli, asCurl, asJson, type Wanted } from './text'
import { usePlan } from './usePlan'
import './catalogue.css'

type Entry = Schemas['Entry']

/** Order asks for an entry of the catalogue: fill in, look at what it will do, ask for it. */
export default function Order({ t = '' }: Record<string, string>) {
  const entry = useGet('/v1/namespaces/{namespace}/catalogue/{name}', { path: { name: t } })
  return (
    <Page
      title={entry.data?.title || t}
      crumbs={[
        ['Catalogue', '/catalogue'],
        [t, ''],
      ]}
      cli={`tutti request create ${t} --interactive`}
    >
      <Loaded query={entry} what={`The entry ${t} cannot be read`} rows={8}>
        {(e) => <Earlier key={e.name} entry={e} />}
      </Loaded>
    </Page>
  )
}

/** Earlier reads the request whose values the form begins with (?from=, ?of=), if there is one. */
function Earlier({ entry }: { entry: Entry }) {
  const [from] = useQueryParam('from')
  const [of] = useQueryParam('of')
  const id = of || from
  const request = useGet('/v1/namespaces/{namespace}/requests/{id}', { path: { id } }, { enabled: !!id })
  if (!id) return <Form entry={entry} given={undefined} of="" />
  return (
    <Loaded query={request} what={`The request ${id} cannot be read`}>
      {(r) => <Form key={id} entry={entry} given={r.params} of={of} />}
    </Loaded>
  )
}

function Form({ entry, given, of }: { entry: Entry; given: Value; of: string }) {
  const ns = useNamespace()
  const schema = useMemo(() => (entry.schema ?? { type: 'object' }) as Schema, [entry.schema])
  const [draft, setDraft] = useState(() => {
    const d = given === undefined ? kept(ns, entry.name) : undefined
    return d ?? { value: start(schema, given), title: '', notify: '', key: crypto.randomUUID() }
  })
  const had = useRef(given === undefined && kept(ns, entry.name) !== undefined)
  const [step, setStep] = useQueryParam('step', 'form')
  const [touched, setTouched] = useState<ReadonlySet<string>>(new Set())
  const [tried, setTried] = useState(had.current)
  const params = useMemo(() => filled(draft.value) as Record<string, unknown>, [draft.value])
  const wanted: Wanted = { entry: entry.name, params, title: draft.title || undefined, notify: draft.notify.split(/[\s,;]+/).filter(Boolean) }
  // What is not filled in needs no question to the server.
  const lacking = useMemo(() => unfilled(schema, params), [schema, params])
  const answer = usePlan(ns, entry.name, params, lacking.length === 0)
  const planned = lacking.length > 0 ? { plan: undefined, problems: lacking, error: undefined, busy: false } : answer
  const options = useOptions(entry.name, params)
  const done = (r: { id: string }) => {
    drop(ns, entry.name)
    navigate(`/requests/${r.id}`)
  }
  const create = useAction('/v1/namespaces/{namespace}/requests', { done: 'Request accepted', onDone: done, quiet: true, refresh: ['/v1/namespaces/{namespace}/requests'] })
  const again = useAction('/v1/namespaces/{namespace}/requests/{id}/resubmit', { done: 'Request submitted again', onDone: done, quiet: true, refresh: ['/v1/namespaces/{namespace}/requests'] })
  const sending = create.isPending || again.isPending
  const refused = create.error ?? again.error

  const change = (d: Partial<typeof draft>) => {
    // Another content is another request: it gets a key of its own.
    const next = { ...draft, ...d, key: crypto.randomUUID() }
    setDraft(next)
    if (given === undefined) keep(ns, entry.name, next)
  }
  const submit = () => {
    if (sending) return
    if (of) again.mutate({ path: { id: of }, body: { params }, key: draft.key })
    else create.mutate({ body: { entry: entry.name, params, ...(wanted.title && { title: wanted.title }), ...(wanted.notify?.length && { notify: wanted.notify }) }, key: draft.key })
  }
  const review = () => {
    setTried(true)
    // The step shows that it waits, and then the plan; where the server finds fault, the form comes back with it.
    if (planned.plan || planned.busy) setStep('review', { push: true })
    else focusFirst(planned.problems.map((p) => pathOf(p)))
  }
  const shown = planned.problems.filter((p) => tried || touched.has(pathOf(p)))
  const blocked = planned.problems.length > 0 ? `${planned.problems.length === 1 ? 'one field needs' : `${planned.problems.length} fields need`} attention` : planned.error ? planned.error.message : ''
  const plan = planned.busy ? undefined : planned.plan
  const reviewing = step === 'review' && (plan !== undefined || planned.busy)
  const faults = step === 'review' && !planned.busy && planned.plan === undefined
  useEffect(() => {
    if (faults) setStep('form')
  }, [faults]) // eslint-disable-line -- only when it turns out so
  return (
    <div className="order">
      <Panel flush title={reviewing ? 'What will be done' : entry.doc ? <span className="grow">{entry.doc}</span> : 'What is wanted'}>
        <div className="pad">
          {of && <p className="dim">The request {of} is submitted again with these values: a new request of the same trace.</p>}
          {refused && <ErrorBox error={refused} what="The request was not accepted; nothing was stored" />}
          {planned.error && planned.error.status !== 422 && <ErrorBox error={planned.error} what="What it would do cannot be found out" />}
          {reviewing ? (
            plan ? (
              <Review plan={plan} entry={entry} params={params} />
            ) : (
              <div role="status">
                <p className="dim">Asking the server what this request would do…</p>
                <Skeleton rows={6} />
              </div>
            )
          ) : (
            <>
              <SchemaForm schema={schema} value={draft.value} onChange={(value) => change({ value })} problems={shown} options={options} onLeave={(p) => setTouched((s) => new Set(s).add(p))} />
              <details open={draft.title !== '' || draft.notify !== ''}>
                <summary>Title, and who else is told</summary>
                <div className="pad">
                  <Field label="Title" hint="How the request is called in lists" value={draft.title} maxLength={200} onChange={(e) => change({ title: e.target.value })} />
                  <Field label="Mail to" hint="Addresses that are told of receipt and completion" value={draft.notify} onChange={(e) => change({ notify: e.target.value })} />
                </div>
              </details>
            </>
          )}
        </div>
        <div className="foot">
          <CopyAs wanted={wanted} />
          {had.current && !reviewing && (
            <Button
              kind="quiet"
              onClick={() => {
                drop(ns, entry.name)
                had.current = false
                setTried(false)
                setTouched(new Set())
                setDraft({ value: start(schema, undefined), title: '', notify: '', key: crypto.randomUUID() })
              }}
            >
              Discard the draft
            </Button>
          )}
          <span className="actions">
            {reviewing ? (
              <>
                <Button onClick={() => setStep('form')}>Change it</Button>
                <Button kind="primary" perm="request.create" busy={sending} off={plan ? undefined : 'its plan has not arrived yet'} onClick={submit}>
                  Request {plan?.name ?? ''}
                </Button>
              </>
            ) : (
              <Button kind="primary" perm="request.create" title={blocked} onClick={review}>
                Review what it does
              </Button>
            )}
          </span>
        </div>
      </Panel>
      <Summary entry={entry} params={params} planned={planned} onCopy={(v) => change({ value: start(schema, isMap(v) ? v : {}) })} />
    </div>
  )
}

/** focusFirst puts the cursor into the first field that needs attention. */
function focusFirst(paths: string[]) {
  const all = [...document.querySelectorAll<HTMLElement>('.sform [data-path]')]
  const el = all.find((e) => paths.includes(e.dataset.path ?? ''))
  el?.querySelector<HTMLElement>('input, select, textarea')?.focus()
}

function CopyAs({ wanted }: { wanted: Wanted }) {
  const ns = useNamespace()
  return (
    <Menu
      title="Copy what is asked for, to ask for it another way"
      items={[
        { label: 'Copy as CLI command', onSelect: () => void copy(asCli(wanted, ns), 'Command copied') },
        { label: 'Copy as JSON', onSelect: () => void copy(asJson(wanted), 'JSON copied') },
        { label: 'Copy as curl', onSelect: () => void copy(asCurl(wanted, ns, location.origin), 'Command copied') },
      ]}
    >
      Copy as…
    </Menu>
  )
}

