import type { Schemas } from '@/api/client'
import { useAction } from '@/api/hooks'
import { Button, ErrorBox, Json, Tag } from '@/kit'
import { Trial } from '@/views/Trial'
import { label, nameOf, ordered } from '@/views/form/model'
import type { Schema } from '@/views/schema'

/** Review is the plan as the server made it: the steps, the resource in full, and what is undone if a step fails. */
export function Review({ plan, entry, params }: { plan: Schemas['RequestPlan']; entry: Schemas['Entry']; params: Record<string, unknown> }) {
  return (
    <>
      <Values value={{ ...(entry.locked ?? {}), ...params }} locked={Object.keys(entry.locked ?? {})} of={(entry.schema ?? {}) as Schema} />
      <section className="stack wide" aria-label="Steps">
        <h3>
          {plan.steps?.length ?? 0} steps of {plan.workflow} v{plan.version}
        </h3>
        <ol className="steps">
          {(plan.steps ?? []).map((s, i) => (
            <li key={s.path}>
              <span className="no nums">{i + 1}</span>
              <span>{s.title || s.path}</span>
              {s.use && <Tag>{s.use}</Tag>}
              {(s.when || s.undo) && (
                <small>
                  {s.when && (
                    <>
                      only where <code>{s.when}</code>
                    </>
                  )}
                  {s.when && s.undo && ' · '}
                  {s.undo && `taken back by ${s.undo} if the request fails`}
                </small>
              )}
            </li>
          ))}
        </ol>
      </section>
      <TryOut plan={plan} entry={entry.name} params={params} />
      <details>
        <summary>The resource in full, as every later step reads it</summary>
        <Json value={plan.spec} label="Resource" />
      </details>
    </>
  )
}

/** TryOut has the trial runs made on demand, and says what even they cannot tell. */
function TryOut({ plan, entry, params }: { plan: Schemas['RequestPlan']; entry: string; params: Record<string, unknown> }) {
  const attempt = useAction('/v1/namespaces/{namespace}/requests/plan', { quiet: true })
  const tried = attempt.data as Schemas['RequestPlan'] | undefined
  const open = (tried ?? plan).open ?? []
  const offered = (plan.resources ?? []).some((r) => r.trial)
  const all = (tried?.resources ?? []).filter((r) => r.preview)
  return (
    <>
      {offered && (
        <section className="stack wide" aria-label="Trial run">
          <h3>What it does to the systems themselves</h3>
          {all.length === 0 && (
            <p>
              <Button perm="run.start" busy={attempt.isPending} onClick={() => attempt.mutate({ query: { preview: '50s' }, body: { entry, params } })}>
                Try it out
              </Button>{' '}
              <span className="dim">A trial run plans and checks, and changes nothing. It may take a minute.</span>
            </p>
          )}
          {attempt.error && <ErrorBox error={attempt.error} what="It could not be tried out" />}
          {all.map((r) => (
            <Trial key={r.name} trial={r.preview!} />
          ))}
        </section>
      )}
      {open.length > 0 && (
        <section className="stack wide" aria-label="Open">
          <h3>What nobody can say before it runs</h3>
          <ul>
            {open.map((text) => (
              <li key={text}>{text}</li>
            ))}
          </ul>
        </section>
      )}
    </>
  )
}

/** Values lists what was filled in, by the names of the fields. */
export function Values({ value, locked, of }: { value: Record<string, unknown>; locked: string[]; of: Schema }) {
  const schema = of.properties ?? {}
  const order = ordered(of).map(([k]) => k)
  const place = (k: string) => (order.includes(k) ? order.indexOf(k) : -1) // what is fixed stands on top
  const all = Object.entries(value).sort(([a], [b]) => place(a) - place(b))
  if (all.length === 0) return null
  return (
    <table className="values">
      <tbody>
        {all.map(([k, v]) => (
          <tr key={k}>
            <th scope="row">{nameOf(schema[k] ?? {}, k)}</th>
            <td>
              {label(v)} {typeof schema[k]?.['x-unit'] === 'string' && (schema[k]['x-unit'] as string)} {locked.includes(k) && <Tag>fixed</Tag>}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
