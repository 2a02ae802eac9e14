import { lazy, Suspense } from 'react'
import { useGet } from '@/api/hooks'
import { Empty, Loaded, Skeleton, Tag } from '@/kit'
import { Link } from '@/lib/router'
import { pageOf } from './kinds'

// What reads YAML comes in a chunk of its own.
const Form = lazy(() => import('./FormPreview'))
const Test = lazy(() => import('./TestPart'))

/** FormPart shows the form that the text describes. */
export function FormPart({ text, kind }: { text: string; kind: string }) {
  return (
    <Suspense fallback={<Skeleton />}>
      <Form text={text} kind={kind} />
    </Suspense>
  )
}

/** TestPart plays the text. */
export function TestPart({ text, file }: { text: string; file: string }) {
  return (
    <Suspense fallback={<Skeleton />}>
      <Test text={text} file={file} />
    </Suspense>
  )
}

/** UsersPart lists what uses a definition: workflows that call it, resource types that are built by it, presets of it. */
export function UsersPart({ kind, name }: { kind: string; name: string }) {
  const users = useGet('/v1/namespaces/{namespace}/definitions/{kind}/{name}/users', { path: { kind, name }, query: { limit: 500 } })
  return (
    <Loaded query={users} what="What uses it cannot be found out">
      {({ items }) =>
        (items ?? []).length === 0 ? (
          <Empty title="Nothing uses it">No definition of this namespace calls it or is built by it.</Empty>
        ) : (
          <ul className="changes">
            {(items ?? []).map((d) => (
              <li key={d.kind + d.name}>
                <Tag>{d.kind}</Tag>{' '}
                <Link to={pageOf(d)} className="strong">
                  {d.name}
                </Link>{' '}
                <span className="dim">{d.title}</span>
              </li>
            ))}
          </ul>
        )
      }
    </Loaded>
  )
}
