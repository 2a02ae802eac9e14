import { lazy, Suspense, useState } from 'react'
import { useAction, useGet } from '@/api/hooks'
import { Button, Empty, Glyph, LinkButton, Loaded, Page, Panel, Skeleton, StateChip, Tabs, Tag, Time } from '@/kit'
import { count, person } from '@/lib/format'
import { useCan, useNamespace } from '@/lib/me'
import { navigate, useQueryParam } from '@/lib/router'
import { place, type Problem } from '@/views/editor/problems'
import { drop, keep, kept } from './draft'
import { nameIn, template } from './kinds'
import { Publish } from './Publish'
import { GraphPart } from './GraphPart'
import { FormPart, TestPart, UsersPart } from './parts'
import { useCheck } from './useCheck'
import { useDark } from './useDark'
import { useKnowledge } from './useKnowledge'
import { Versions } from './Versions'
import './workflows.css'

const Editor = lazy(() => import('@/views/editor/Editor'))

/** Workflow edits a definition: the text at the left, what the server says of it at the right. */
export default function Workflow({ t = '' }: Record<string, string>) {
  const [kind] = useQueryParam('kind', 'Workflow')
  const [version] = useQueryParam('version')
  const fresh = t === '_new'
  const definition = useGet('/v1/namespaces/{namespace}/definitions/{kind}/{name}', { path: { kind, name: t }, query: version ? { version: Number(version) } : {} }, { enabled: !fresh, meta: { live: false } })
  if (fresh) return <Edit key={`new-${kind}`} kind={kind} name="" published={template(kind)} version={0} />
  if (definition.data) {
    const d = definition.data
    return <Edit key={`${kind}/${t}/${version}`} kind={kind} name={t} published={d.source ?? JSON.stringify(d.document, null, 2)} version={d.version} by={d.publisher} applied={d.applied} old={!!version} />
  }
  return (
    <Page title={t} crumbs={[['Workflows', '/workflows'], [t, '']]}>
      <Loaded query={definition} what={`${t} cannot be read`} rows={12}>
        {() => null}
      </Loaded>
    </Page>
  )
}

interface EditProps {
  kind: string
  name: string // "" of a new one
  published: string
  version: number
  by?: string
  applied?: string
  old?: boolean // an earlier version, to look at
}

function Edit(p: EditProps) {
  const ns = useNamespace()
  const dark = useDark()
  const may = useCan('definition.apply')
  const knowledge = useKnowledge(p.kind)
  const [text, setText] = useState(() => (p.old ? p.published : kept(ns, p.kind, p.name) ?? p.published))
  const [tab, setTab] = useQueryParam('part', p.kind === 'Workflow' ? 'graph' : 'problems')
  const [asking, setAsking] = useState(false)
  const [goTo, setGoTo] = useState<{ line: number; column: number; nonce: number }>()
  const called = nameIn(text)
  const file = `${called || 'definition'}.yaml`
  const checked = useCheck(ns, file, text)
  const stale = checked.text !== text
  const changed = text !== p.published
  const change = (next: string) => {
    setText(next)
    if (p.old) return
    if (next === p.published) drop(ns, p.kind, p.name)
    else keep(ns, p.kind, p.name, next)
  }
  const apply = useAction('/v1/namespaces/{namespace}/definitions', {
    refresh: ['/v1/namespaces/{namespace}/definitions', '/v1/namespaces/{namespace}/definitions/{kind}/{name}'],
    quiet: true,
    done: 'Published',
    onDone: () => {
      drop(ns, p.kind, p.name)
      setAsking(false)
      navigate(`/workflows/${encodeURIComponent(called)}${p.kind === 'Workflow' ? '' : `?kind=${p.kind}`}`)
    },
  })
  // Whoever leaves with an unpublished text finds it again; the browser need not ask.
  const problems = checked.problems
  const off = p.old ? 'this is an earlier version: take it over first' : stale || checked.busy ? 'it is being checked' : checked.error ? 'it could not be checked' : problems.length > 0 ? `${count(problems.length, 'problem')} to mend first` : !changed && p.name ? 'nothing was changed' : checked.changes.every((c) => c.action === 'unchanged') ? 'it is the same as what is published' : ''
  const state = checked.error ? 'cancelled' : checked.busy || stale ? 'running' : problems.length > 0 ? 'failed' : 'succeeded'
  const tabs = [
    ...(p.kind === 'Workflow' ? [{ id: 'graph', label: 'Graph' }] : []),
    { id: 'problems', label: `Problems${problems.length ? ' ' + problems.length : ''}` },
    { id: 'form', label: 'Form' },
    ...(p.kind === 'Workflow' ? [{ id: 'test', label: 'Test' }] : []),
    { id: 'diff', label: 'Diff' },
    ...(p.name ? [{ id: 'versions', label: `Versions ${p.version || ''}` }, { id: 'users', label: 'Used by' }] : []),
  ]
  const jump = (x: Problem) => {
    const at = place(x.location)
    if (at) setGoTo({ ...at, nonce: (goTo?.nonce ?? 0) + 1 })
  }
  return (
    <Page
      title={p.name || `New ${p.kind === 'Workflow' ? 'workflow' : p.kind}`}
      crumbs={[
        ['Workflows', p.kind === 'Workflow' ? '/workflows' : `/workflows?kind=${p.kind}`],
        [p.name || 'new', ''],
      ]}
      chip={
        <>
          {p.version > 0 && <Tag>v{p.version}</Tag>}
          <StateChip state={state}>{checked.error ? 'not checked' : checked.busy || stale ? 'checking' : problems.length > 0 ? count(problems.length, 'problem') : changed || !p.name ? 'sound, not published' : 'published'}</StateChip>
        </>
      }
      cli={p.name ? `tutti workflow show ${p.name}` : 'tutti workflow validate -f workflow.yaml'}
      actions={
        <>
          {p.name && p.kind === 'Workflow' && <LinkButton to={`/runs?workflow=${encodeURIComponent(p.name)}&view=grid`}>History</LinkButton>}
          {p.old ? (
            <Button
              onClick={() => {
                keep(ns, p.kind, p.name, p.published)
                navigate(`/workflows/${encodeURIComponent(p.name)}${p.kind === 'Workflow' ? '' : `?kind=${p.kind}`}`)
              }}
              perm="definition.apply"
            >
              Take over this text
            </Button>
          ) : (
            <Button off={changed ? '' : 'nothing was changed'} onClick={() => change(p.published)}>
              {p.name ? 'Back to what is published' : 'Begin anew'}
            </Button>
          )}
          <Button kind="primary" perm="definition.apply" off={off} onClick={() => setAsking(true)}>
            Publish…
          </Button>
        </>
      }
    >
      {p.by && (
        <p className="dim small">
          {p.old ? 'Version' : 'Published as version'} {p.version} by {person(p.by)} <Time at={p.applied} />
          {!may.ok && ` · you may read it; publishing ${may.reason}`}
        </p>
      )}
      <div className="wedit">
        <Panel flush className="weditor">
          <Suspense fallback={<Skeleton rows={12} height={18} />}>
            <Editor text={text} onText={change} problems={stale ? none : problems} knowledge={knowledge} dark={dark} readOnly={!!p.old} goTo={goTo} onSave={() => !off && may.ok && setAsking(true)} label={`Text of ${p.name || 'the new definition'}`} />
          </Suspense>
        </Panel>
        <Panel flush className="wparts">
          <div className="pad">
            <Tabs label="Of this text" keys tabs={tabs} value={tab} onChange={(id) => setTab(id)}>
              {tab === 'graph' && <GraphPart text={text} file={file} />}
              {tab === 'test' && <TestPart text={text} file={file} />}
              {tab === 'problems' && <Problems checked={checked} stale={stale} onJump={jump} />}
              {tab === 'form' && <FormPart text={text} kind={p.kind} />}
              {tab === 'diff' && <Versions kind={p.kind} name={p.name} text={text} published={p.published} version={p.version} only />}
              {tab === 'versions' && <Versions kind={p.kind} name={p.name} text={text} published={p.published} version={p.version} />}
              {tab === 'users' && <UsersPart kind={p.kind} name={p.name} />}
            </Tabs>
          </div>
        </Panel>
      </div>
      {asking && <Publish name={called} published={p.name ? p.published : ''} text={text} changes={checked.changes} busy={apply.isPending} error={apply.error} onClose={() => setAsking(false)} onPublish={(note) => apply.mutate({ body: { files: [{ name: file, text }], ...(note && { note }) } })} />}
    </Page>
  )
}

const none: Problem[] = []

function Problems({ checked, stale, onJump }: { checked: ReturnType<typeof useCheck>; stale: boolean; onJump: (p: Problem) => void }) {
  if (checked.error) return <p className="err">It cannot be checked now: {checked.error.message}</p>
  if (checked.problems.length === 0)
    return (
      <Empty title={stale || checked.busy ? 'It is being checked' : 'Nothing is wrong with it'}>
        The server checks the text as it would when it is published: its shape, the task types and their inputs, every reference.
      </Empty>
    )
  return (
    <ul className="problems" aria-live="polite">
      {checked.problems.map((p, i) => (
        <li key={i}>
          <button type="button" onClick={() => onJump(p)}>
            <Glyph state="failed" />
            <span>
              {p.message}
              {p.hint && <span className="dim"> {p.hint}</span>}
              {p.location && <code>{p.location}</code>}
            </span>
          </button>
        </li>
      ))}
    </ul>
  )
}

