import { useState } from 'react'
import { useGet } from '@/api/hooks'
import type { Presence } from '@/api/types'
import { Button, Dialog, Empty, Facts, Glyph, Id, Json, Loaded, Page, StateChip, Time } from '@/kit'
import { useNow } from '@/lib/clock'
import { count, duration } from '@/lib/format'
import { useQueryParam } from '@/lib/router'
import { group, skew } from './group'
import './services.css'

/** Services shows every process and worker: whether it lives, its version, and what it has to do. */
export default function Services() {
  const list = useGet('/v1/presence', undefined, { refetchInterval: 5000 })
  const [at, setAt] = useQueryParam('at')
  return (
    <Page title="Services" cli="tutti service list">
      <Loaded query={list} what="The services cannot be read" rows={8}>
        {({ items }) => {
          const all = (items ?? []) as Presence[]
          if (all.length === 0) return <Empty title="No service has given a sign of life yet" cli="tutti service list" />
          const open = all.find((p) => p.id === at)
          return (
            <>
              <Warnings all={all} />
              <div className="svcs">
                {group(all).map(([name, of]) => (
                  <section key={name} className="panel svc" aria-label={name}>
                    <h2>{name}</h2>
                    {of.map((p) => (
                      <Instance key={p.id} p={p} onOpen={() => setAt(p.id, { push: true })} />
                    ))}
                  </section>
                ))}
              </div>
              {open && <Details p={open} onClose={() => setAt('')} />}
            </>
          )
        }}
      </Loaded>
    </Page>
  )
}

function Warnings({ all }: { all: Presence[] }) {
  const versions = skew(all)
  const down = all.filter((p) => p.state !== 'up')
  return (
    <>
      <p className="dim">
        {count(all.length - down.length, 'instance')} up{down.length > 0 && `, ${down.length} down`}, on {count(new Set(all.map((p) => p.host)).size, 'host')}.
      </p>
      {versions.length > 1 && (
        <div className="banner" data-state="waiting" role="note">
          <Glyph state="waiting" />
          <span>
            <b>{versions.length} versions run beside one another: </b>
            {versions.map(([v, n]) => `${v} (${n})`).join(', ')}. Finish the upgrade, or go back to one version.
          </span>
        </div>
      )}
      {down.map((p) => (
        <div key={p.id} className="banner" data-state="failed" role="note">
          <Glyph state="failed" />
          <span>
            <b>{p.name}</b> on {p.host} has not given a sign of life since <Time at={p.seen} />. What it was doing is taken over by others.
          </span>
        </div>
      ))}
    </>
  )
}

function Instance({ p, onOpen }: { p: Presence; onOpen: () => void }) {
  const now = useNow()
  const beat = now - Date.parse(p.seen)
  const up = p.state === 'up'
  return (
    <button type="button" className="instance" onClick={onOpen}>
      <Glyph state={up ? 'succeeded' : 'failed'} title={up ? 'up' : 'down'} />
      <span className="grow">
        <span className="clip">{p.host}</span>
        <span className="dim small nums clip">
          {up ? 'up' : 'was up'} {duration(now - Date.parse(p.started))} · beat {duration(Math.max(0, beat))} ago{loadOf(p)}
        </span>
      </span>
    </button>
  )
}

function loadOf(p: Presence): string {
  const load = Object.entries(p.load ?? {}).filter(([, v]) => typeof v === 'number' || typeof v === 'string')
  return load.length ? ' · ' + load.slice(0, 2).map(([k, v]) => `${k} ${String(v)}`).join(', ') : ''
}

function Details({ p, onClose }: { p: Presence; onClose: () => void }) {
  const [raw, setRaw] = useState(false)
  return (
    <Dialog title={`${p.name} on ${p.host}`} onClose={onClose} wide foot={<Button onClick={() => setRaw(!raw)}>{raw ? 'Facts' : 'JSON'}</Button>}>
      {raw ? (
        <Json value={p} label={p.name} />
      ) : (
        <>
          <div>
            <StateChip state={p.state === 'up' ? 'succeeded' : 'failed'}>{p.state}</StateChip>
          </div>
          <Facts
            items={[
              ['Instance', <Id key="i" id={p.id} />],
              ['Version', <code key="v">{p.version}</code>],
              ['Platform', p.platform],
              ['Process', String(p.pid)],
              ['Started', <Time key="s" at={p.started} />],
              ['Last beat', <Time key="b" at={p.seen} />],
              ...Object.entries(p.load ?? {}).map(([k, v]): [string, string] => [k, typeof v === 'object' ? JSON.stringify(v) : String(v)]),
            ]}
          />
        </>
      )}
    </Dialog>
  )
}
