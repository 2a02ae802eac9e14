import { useGet } from '@/api/hooks'
import { Diff, Empty, Loaded, SelectField, diffLines } from '@/kit'
import { Link, useQueryParam } from '@/lib/router'
import { around } from './Publish'

const path = '/v1/namespaces/{namespace}/definitions/{kind}/{name}'

export interface VersionsProps {
  kind: string
  name: string
  text: string
  published: string
  version: number
  only?: boolean // the difference to what is published, without the choice of versions
}

/** Versions compares the text with what is published, or with an earlier version. */
export function Versions(p: VersionsProps) {
  const [against, setAgainst] = useQueryParam('against')
  const n = p.only ? 0 : Number(against) || Math.max(1, p.version - 1)
  const other = useGet(path, { path: { kind: p.kind, name: p.name }, query: { version: n } }, { enabled: !p.only && n > 0, staleTime: Infinity })
  if (p.only) return <Difference before={p.name ? p.published : ''} after={p.text} same="The text is what is published." />
  return (
    <>
      <div className="head">
        <SelectField label="Compare with" value={String(n)} onChange={(e) => setAgainst(e.target.value)} options={Array.from({ length: p.version }, (_, i): [string, string] => [String(p.version - i), `version ${p.version - i}`])} />
        <Link to={`/workflows/${encodeURIComponent(p.name)}?version=${n}${p.kind === 'Workflow' ? '' : `&kind=${p.kind}`}`} className="button">
          Open version {n}
        </Link>
      </div>
      <Loaded query={other} what={`Version ${n} cannot be read`}>
        {(d) => <Difference before={d.source ?? ''} after={p.text} same={`The text is that of version ${n}.`} />}
      </Loaded>
    </>
  )
}

function Difference({ before, after, same }: { before: string; after: string; same: string }) {
  if (before === after) return <Empty title={same} />
  return <Diff label="Difference" lines={around(diffLines(before, after), 4)} />
}
