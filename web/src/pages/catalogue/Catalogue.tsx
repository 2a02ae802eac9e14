import { useGet } from '@/api/hooks'
import type { Schemas } from '@/api/client'
import { Empty, FilterChip, Loaded, Page, Tag } from '@/kit'
import { count, duration, milliseconds } from '@/lib/format'
import { Link, setQuery, useQueryParam } from '@/lib/router'
import { usualOf, useUses } from './stats'
import './catalogue.css'

type Entry = Schemas['Entry']

/** Catalogue shows what can be asked for. */
export default function Catalogue() {
  const entries = useGet('/v1/namespaces/{namespace}/catalogue')
  const [find, setFind] = useQueryParam('find')
  const [tag, setTag] = useQueryParam('tag')
  const known = useUses()
  return (
    <Page title="Catalogue" cli="tutti catalogue">
      <Loaded query={entries} what="The catalogue cannot be read" rows={6}>
        {({ items }) => {
          const all = items ?? []
          const tags = [...new Set(all.flatMap((e) => e.tags ?? []))].sort()
          const shown = all.filter((e) => matches(e, find, tag)).sort((a, b) => when(known.get(b.name)?.last) - when(known.get(a.name)?.last))
          if (all.length === 0)
            return (
              <Empty title="There is nothing to order yet" cli="tutti apply -f examples/vm">
                The catalogue lists resource types and presets. They are definitions, applied like workflows.
              </Empty>
            )
          return (
            <>
              <div className="filters" role="group" aria-label="Filter">
                <input className="catfind" type="search" value={find} onChange={(e) => setFind(e.target.value)} placeholder="Find in the catalogue" aria-label="Find in the catalogue" />
                {tags.map((t) => (
                  <FilterChip key={t} on={tag === t} onChange={(on) => setTag(on ? t : '')}>
                    {t}
                  </FilterChip>
                ))}
              </div>
              {shown.length === 0 ? (
                <Empty title="Nothing matches" action={<button type="button" className="button" onClick={() => setQuery({ find: '', tag: '' })}>Remove the filters</button>}>
                  Nothing in the catalogue has {[find && `“${find}” in it`, tag && `the tag ${tag}`].filter(Boolean).join(' and ')}.
                </Empty>
              ) : (
                <ul className="cards">
                  {shown.map((e) => (
                    <Card key={e.name} entry={e} use={known.get(e.name)} />
                  ))}
                </ul>
              )}
            </>
          )
        }}
      </Loaded>
    </Page>
  )
}

function Card({ entry: e, use: u }: { entry: Entry; use: Schemas['EntryUse'] | undefined }) {
  return (
    <li>
      <Link to={`/catalogue/${encodeURIComponent(e.name)}/new`} className="card">
        <h2>{e.title || e.name}</h2>
        <p>{e.doc}</p>
        <span className="cardfoot">
          {(e.tags ?? []).map((t) => (
            <Tag key={t}>{t}</Tag>
          ))}
          <span className="dim small nums">
            {[usualOf(u) !== undefined && `about ${duration(usualOf(u)!)} (nine in ten ${duration(milliseconds(u?.p90))})`, u && `used ${count(u.requests, 'time')}`].filter(Boolean).join(' · ')}
          </span>
        </span>
      </Link>
    </li>
  )
}

const when = (at: string | undefined) => (at ? Date.parse(at) : 0)

/** matches reports whether an entry is what somebody looks for. */
export function matches(e: Entry, find: string, tag: string): boolean {
  const words = find.toLowerCase().split(/\s+/).filter(Boolean)
  const text = [e.name, e.title, e.doc, e.type, ...(e.tags ?? [])].join(' ').toLowerCase()
  return (!tag || (e.tags ?? []).includes(tag)) && words.every((w) => text.includes(w))
}
