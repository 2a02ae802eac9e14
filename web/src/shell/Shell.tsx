import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState, type ReactNode } from 'react'
import { client } from '@/api/client'
import { useGet } from '@/api/hooks'
import { LinkButton, Button } from '@/kit/Button'
import { Menu } from '@/kit/Menu'
import { absolute, now } from '@/lib/clock'
import { clock, person } from '@/lib/format'
import { keysOff, useKeys } from '@/lib/keys'
import { useMe, useNamespace } from '@/lib/me'
import { Link, navigate, useAddress } from '@/lib/router'
import { useStore } from '@/lib/store'
import { theme } from '@/lib/theme'
import { frozen, held, live } from '@/live/stream'
import { pages, type Page } from '@/pages'
import { useCounts } from './counts'
import { KeyList } from './KeyList'
import { Search } from './Search'

const groups = ['Work', 'Run', 'Define', 'Watch', 'Settings'] as const

/** Shell is what stands around every page: navigation, the bar on top, and what the stream says. */
export function Shell({ children }: { children: ReactNode }) {
  const [drawer, setDrawer] = useState(false)
  const [help, setHelp] = useState(false)
  const { path } = useAddress()
  useEffect(() => setDrawer(false), [path])
  useKeys([
    ...pages.filter((p) => p.key).map((p) => ({ keys: `g ${p.key}`, does: p.title, run: () => navigate(p.path), group: 'Go to' })),
    { keys: '?', does: 'This list', run: () => setHelp(true), group: 'Everywhere' },
    { keys: 't', does: 'Times: how long ago, or when', run: () => absolute.set(absolute.get() ? '' : 'yes'), group: 'Everywhere' },
    { keys: 'u', does: 'Hold updates back, or let them in', run: () => frozen.set(!frozen.get()), group: 'Everywhere' },
  ])
  useKeys([{ keys: 'Escape', does: 'Close', run: () => setDrawer(false), group: 'Everywhere' }], drawer)
  return (
    <div className="shell" data-drawer={drawer || undefined}>
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <Nav path={path} />
      {drawer && <div className="shade" onClick={() => setDrawer(false)} aria-hidden />}
      <div className="column">
        <TopBar onDrawer={() => setDrawer(!drawer)} drawer={drawer} onHelp={() => setHelp(true)} />
        <StreamBar />
        {children}
      </div>
      {help && <KeyList onClose={() => setHelp(false)} />}
    </div>
  )
}

function Nav({ path }: { path: string }) {
  const counts = useCounts()
  const current = (p: Page) => (p.path === '/' ? path === '/' : path === p.path || path.startsWith(p.path + '/'))
  return (
    <nav className="nav" aria-label="Main" id="nav">
      <Link to="/" className="brand">
        Tutti
      </Link>
      {groups.map((g) => {
        const of = pages.filter((p) => p.group === g)
        if (of.length === 0) return null
        return (
          <div key={g} className="navgroup" role="group" aria-label={g}>
            {g !== 'Settings' && (
              <div className="navhead" aria-hidden>
                {g}
              </div>
            )}
            {of.map((p) => {
              const n = p.count ? (counts[p.count] ?? 0) : 0
              return (
                <Link key={p.path} to={p.path} aria-current={current(p) ? 'page' : undefined}>
                  {p.title}
                  {n > 0 && (
                    <span className="dim nums">
                      {n > 99 ? '99+' : n}
                      <span className="vh"> need you</span>
                    </span>
                  )}
                </Link>
              )
            })}
          </div>
        )
      })}
    </nav>
  )
}

function TopBar({ onDrawer, drawer, onHelp }: { onDrawer: () => void; drawer: boolean; onHelp: () => void }) {
  const me = useMe()
  const queries = useQueryClient()
  const chosen = useStore(theme)
  const keys = useStore(keysOff)
  const out = async () => {
    try {
      await client.POST('/v1/logout', {})
    } finally {
      queries.clear()
      navigate('/login')
    }
  }
  const catalogue = pages.some((p) => p.path === '/catalogue')
  return (
    <header className="top">
      <Button kind="quiet" className="icon onlynarrow" aria-label="Navigation" aria-expanded={drawer} aria-controls="nav" onClick={onDrawer}>
        ☰
      </Button>
      <Search />
      <div className="actions">
        <NamespacePicker />
        {catalogue && (
          <span className="onlywide">
            <LinkButton to="/catalogue" perm="request.create">
              New request
            </LinkButton>
          </span>
        )}
        <Menu
          className="icon"
          label="Theme"
          items={[
            { label: 'Like the system', checked: chosen === '', onSelect: () => theme.set('') },
            { label: 'Light', checked: chosen === 'light', onSelect: () => theme.set('light') },
            { label: 'Dark', checked: chosen === 'dark', onSelect: () => theme.set('dark') },
          ]}
        >
          <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden>
            <circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" />
            <path d="M8 1.5a6.5 6.5 0 0 1 0 13z" fill="currentColor" />
          </svg>
        </Menu>
        <Menu
          label={`User ${person(me.subject)}`}
          items={[
            person(me.subject),
            { label: 'Keyboard…', onSelect: onHelp },
            { label: 'Single-key shortcuts', checked: keys === '', onSelect: () => keysOff.set(keys ? '' : 'off') },
            { label: 'Log out', onSelect: () => void out() },
          ]}
        >
          {person(me.subject)}
        </Menu>
      </div>
    </header>
  )
}

function NamespacePicker() {
  const ns = useNamespace()
  const all = useGet('/v1/namespaces', {}, { staleTime: 60_000 })
  const names = all.data?.items?.map((n) => n.name) ?? []
  if (names.length < 2 && (names.length === 0 || names[0] === ns)) return null
  return (
    <label className="nspicker">
      <span className="vh">Namespace</span>
      <select
        value={ns}
        onChange={(e) => {
          // A list stays where one is; what is of one namespace alone is left.
          const top = '/' + (location.pathname.split('/')[1] ?? '')
          navigate(`${top}?ns=${encodeURIComponent(e.target.value)}`)
        }}
      >
        {[...new Set([ns, ...names])].map((n) => (
          <option key={n}>{n}</option>
        ))}
      </select>
    </label>
  )
}

const slow = 1500 // ms for which a lost connection is not worth a word

/** StreamBar says that the connection is lost, or that updates are held back. */
function StreamBar() {
  const s = useStore(live)
  const ice = useStore(frozen)
  const n = useStore(held)
  const [late, setLate] = useState(false)
  const lost = s.state === 'lost'
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => {
    if (lost) timer.current = setTimeout(() => setLate(true), slow)
    else setLate(false)
    return () => clearTimeout(timer.current)
  }, [lost])
  return (
    <div role="status" className="streambar">
      {lost && late && <div className="bar lost">Reconnecting, data as of {clock(s.asOf, now())}</div>}
      {ice && (
        <div className="bar">
          Updates are held back{n > 0 && `, ${n} new`}. <Button onClick={() => frozen.set(false)}>Let them in (u)</Button>
        </div>
      )}
    </div>
  )
}
