import type { Schemas } from '@/api/client'
import { useGet } from '@/api/hooks'
import { Button, Diff, Empty, Loaded, Panel, Skeleton, Time, diffLines } from '@/kit'
import { copy } from '@/lib/copy'
import { person } from '@/lib/format'
import { useQueryParam } from '@/lib/router'
import { homeOf, pathOf } from './git'
import './resources.css'

type Commit = Schemas['Commit']
const commits = '/v1/namespaces/{namespace}/repositories/{repository}/commits'

/** Commits is the history of a resource's files in git, with what each commit changed. */
export function Commits({ resource: r }: { resource: Schemas['Resource'] }) {
  // Where its files are is told by the commits of the trace that made it.
  const trace = useGet('/v1/namespaces/{namespace}/traces/{trace}', { path: { trace: r.trace } })
  return (
    <Loaded query={trace} what="Where its files are cannot be found out">
      {(t) => {
        const home = homeOf(t.rows ?? [])
        return home ? (
          <Log repository={home.repository} commit={home.commit} name={r.name} />
        ) : (
          <Empty title="No file of it is in git">Workflows that commit a resource's file with a task of the type git.commit have its history here.</Empty>
        )
      }}
    </Loaded>
  )
}

function Log({ repository, commit, name }: { repository: string; commit: string; name: string }) {
  const all = useGet(commits, { path: { repository }, query: { limit: 1000 } })
  const [at, setAt] = useQueryParam('commit')
  return (
    <Loaded query={all} what={`The repository ${repository} cannot be read`}>
      {({ items }) => {
        const list = (items ?? []) as Commit[]
        const path = pathOf(list.find((c) => c.commit === commit)?.files ?? [], name)
        const mine = list.filter((c) => (c.files ?? []).some((f) => f === path || (path && f.startsWith(path + '/'))))
        const shown = mine.length > 0 ? mine : list.filter((c) => c.commit === commit)
        return (
          <Panel
            flush
            title={
              <span className="grow">
                <b>{repository}</b> <code>{path}</code>
              </span>
            }
          >
            <ul className="commits">
              {shown.map((c, i) => (
                <li key={c.commit}>
                  <button type="button" aria-expanded={at === c.commit} onClick={() => setAt(at === c.commit ? '' : c.commit)}>
                    <code>{c.commit.slice(0, 8)}</code>
                    <span className="grow clip">{(c.message ?? '').split('\n')[0]}</span>
                    <span className="dim small">
                      {person(c.author?.replace(/\s*<.*/, ''))} <Time at={c.at} />
                    </span>
                  </button>
                  {at === c.commit && <Changes repository={repository} commit={c} before={shown[i + 1]} path={path} />}
                </li>
              ))}
            </ul>
          </Panel>
        )
      }}
    </Loaded>
  )
}

/** Changes shows the files of a commit against what they were in the commit before. */
function Changes({ repository, commit, before, path }: { repository: string; commit: Commit; before: Commit | undefined; path: string }) {
  const files = (commit.files ?? []).filter((f) => f === path || f.startsWith(path + '/'))
  return (
    <div className="pad">
      <div className="head">
        <span className="dim">{commit.message?.split('\n').slice(1).join(' ').trim()}</span>
        <Button onClick={() => void copy(commit.commit, 'Commit copied')}>Copy commit</Button>
      </div>
      {files.map((f) => (
        <FileDiff key={f} repository={repository} path={f} commit={commit.commit} before={(before?.files ?? []).includes(f) ? before!.commit : undefined} />
      ))}
    </div>
  )
}

const file = '/v1/namespaces/{namespace}/repositories/{repository}/commits/{commit}/file'

function FileDiff({ repository, path, commit, before }: { repository: string; path: string; commit: string; before: string | undefined }) {
  const now = useGet(file, { path: { repository, commit }, query: { path } }, { staleTime: Infinity, retry: false })
  const then = useGet(file, { path: { repository, commit: before ?? '' }, query: { path } }, { enabled: !!before, staleTime: Infinity, retry: false })
  if (now.isPending || (before && then.isPending)) return <Skeleton rows={3} />
  return (
    <div className="stack wide">
      <code>{path}</code>
      <Diff label={path} lines={diffLines(then.data?.text ?? '', now.data?.text ?? '').filter((l) => l !== '- ' && l !== '+ ')} />
    </div>
  )
}
