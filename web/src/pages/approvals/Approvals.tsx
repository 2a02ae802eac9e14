import { useEffect } from 'react'
import { useGet } from '@/api/hooks'
import type { Approval } from '@/api/types'
import { Empty, FilterChip, Glyph, Loaded, Page, Panel, Time } from '@/kit'
import { useNow } from '@/lib/clock'
import { duration, person } from '@/lib/format'
import { useKeys } from '@/lib/keys'
import { useMe } from '@/lib/me'
import { useQueryParam } from '@/lib/router'
import { Decision } from './Decision'
import { keyOf, refusal } from './decide'
import './approvals.css'

/** Approvals is the inbox of what waits for a decision. */
export default function Approvals() {
  const me = useMe()
  const list = useGet('/v1/namespaces/{namespace}/approvals', { query: { limit: 200 } })
  const [at, setAt] = useQueryParam('at')
  const [mine, setMine] = useQueryParam('mine')
  return (
    <Page title="Approvals" cli="tutti approval list">
      <Loaded query={list} what="The approvals cannot be read" rows={6}>
        {({ items }) => {
          const all = (items ?? []) as Approval[]
          if (all.length === 0)
            return (
              <Panel>
                <Empty title="Nothing waits for a decision" cli="tutti approval list">
                  Approvals appear here when a run comes to a task of the type approval, such as the one of a production machine.
                </Empty>
              </Panel>
            )
          const shown = mine ? all.filter((a) => !refusal(a, me)) : all
          return <Inbox all={all} shown={shown} at={at} setAt={setAt} mine={!!mine} setMine={(on) => setMine(on ? '1' : '')} />
        }}
      </Loaded>
    </Page>
  )
}

interface InboxProps {
  all: Approval[]
  shown: Approval[]
  at: string
  setAt: (key: string, o?: { push?: boolean }) => void
  mine: boolean
  setMine: (on: boolean) => void
}

function Inbox({ all, shown, at, setAt, mine, setMine }: InboxProps) {
  const me = useMe()
  const i = shown.findIndex((a) => keyOf(a) === at)
  // On a wide screen something is always open; on a narrow one the list comes first.
  const wide = matchMedia('(min-width: 901px)').matches
  const open = shown[i] ?? (wide && !at ? shown[0] : undefined)
  const decided = at !== '' && i < 0
  useEffect(() => {
    if (decided && all.every((a) => keyOf(a) !== at)) document.getElementById('main')?.focus()
  }, [decided, all, at])
  const step = (d: number) => {
    const to = shown[Math.max(0, Math.min(shown.length - 1, (open ? shown.indexOf(open) : -1) + d))]
    if (to) setAt(keyOf(to))
  }
  useKeys([
    { keys: 'j', does: 'Next approval', run: () => step(1), group: 'Lists' },
    { keys: 'k', does: 'Previous approval', run: () => step(-1), group: 'Lists' },
    { keys: 'Escape', does: 'Back to the list', run: () => setAt(''), group: 'Page' },
  ])
  return (
    <>
      <div className="filters" role="group" aria-label="Filter">
        <FilterChip on={mine} onChange={setMine}>
          That I may decide ({all.filter((a) => !refusal(a, me)).length})
        </FilterChip>
      </div>
      <div className="inbox" data-open={open && at ? true : undefined}>
        <Panel flush className="inboxlist">
          {shown.length === 0 ? (
            <Empty title="None that you may decide" action={<button type="button" className="button" onClick={() => setMine(false)}>Show all {all.length}</button>} />
          ) : (
            <ul aria-label="Waiting for a decision">
              {shown.map((a) => (
                <Row key={keyOf(a)} a={a} on={a === open} mine={!refusal(a, me)} onOpen={() => setAt(keyOf(a), { push: true })} />
              ))}
            </ul>
          )}
        </Panel>
        {open ? (
          <Decision key={keyOf(open)} approval={open} onBack={() => setAt('')} />
        ) : decided ? (
          <Panel>
            <Empty title="This approval no longer waits" action={<button type="button" className="button" onClick={() => setAt('')}>Back to the list</button>}>
              It was decided, it expired, or its run was cancelled.
            </Empty>
          </Panel>
        ) : null}
      </div>
    </>
  )
}

function Row({ a, on, mine, onOpen }: { a: Approval; on: boolean; mine: boolean; onOpen: () => void }) {
  return (
    <li>
      <button type="button" aria-current={on || undefined} onClick={onOpen}>
        <Glyph state={mine ? 'waiting' : 'pending'} />
        <span className="grow">
          <b className="two-lines">{a.text || a.task}</b>
          <span className="dim small">
            {person(a.requester)} · {a.workflow} · <Time at={a.asked} />
          </span>
        </span>
        <TimeLeft at={a.expires} short />
      </button>
    </li>
  )
}

/** TimeLeft says how long there is to decide; it warns below an hour. */
export function TimeLeft({ at, short }: { at: string | undefined; short?: boolean }) {
  const now = useNow(!!at)
  if (!at || at.startsWith('0001')) return short ? null : <>no limit</>
  const left = Date.parse(at) - now
  return <span className={`nums small ${left < 3_600_000 ? 'err' : 'dim'}`}>{left > 0 ? `${duration(left)}${short ? '' : ' left'}` : 'expired'}</span>
}
