import { useMemo, useState } from 'react'
import type { Schemas } from '@/api/client'
import { useAction } from '@/api/hooks'
import { Button, Empty, ErrorBox, Facts, Glyph, Json, StateChip, Tag } from '@/kit'
import { filled, start, type Value } from '@/views/form/model'
import { SchemaForm } from '@/views/form/SchemaForm'
import { schemaIn } from './FormPreview'

type Simulation = Schemas['Simulation']

/** TestPart plays the text with sample values: nothing is called, nothing is changed. */
export default function TestPart({ text, file }: { text: string; file: string }) {
  const schema = useMemo(() => schemaIn(text, 'Workflow'), [text])
  const [value, setValue] = useState<Value>(() => (schema ? start(schema, undefined) : {}))
  const [sample, setSample] = useState(true)
  const [scenario, setScenario] = useState('')
  const play = useAction('/v1/namespaces/{namespace}/workflows/simulate', { quiet: true })
  const wrong = notJson(scenario)
  const problems = play.error?.kind === 'invalid' ? play.error.problems : []
  const go = () => play.mutate({ body: { files: [{ name: file, text }], ...(!sample && { inputs: filled(value) }), ...(scenario.trim() && !wrong && { scenario: JSON.parse(scenario) as unknown }) } })
  return (
    <>
      <p className="dim">Plays the text as the engine would, with made-up answers. Nothing is called and nothing is changed.</p>
      {schema && (
        <label className="inline">
          <input type="checkbox" checked={sample} onChange={(e) => setSample(e.target.checked)} /> With sample inputs
        </label>
      )}
      {schema && !sample && <SchemaForm schema={schema} value={value} onChange={setValue} problems={problems} />}
      <details>
        <summary>What it meets: failures, answers, decisions</summary>
        <div className="field">
          <label htmlFor="scenario">Scenario, as in a document of kind Test</label>
          <textarea id="scenario" className="mono" rows={4} spellCheck={false} placeholder='{"fail": ["first=2"], "approvals": {"*": "approve"}}' value={scenario} onChange={(e) => setScenario(e.target.value)} aria-invalid={wrong ? true : undefined} />
          {wrong && <small className="err">{wrong}</small>}
        </div>
      </details>
      <div>
        <Button kind="primary" off={wrong} busy={play.isPending} onClick={go}>
          Play it
        </Button>
      </div>
      {play.error && problems.length === 0 && <ErrorBox error={play.error} what="It could not be played" />}
      {play.data ? <Outcome of={play.data as Simulation} /> : !play.error && !play.isPending && <Empty title="It was not played yet" cli={`tutti workflow simulate ${file}`} />}
    </>
  )
}

function notJson(text: string): string {
  if (!text.trim()) return ''
  try {
    JSON.parse(text)
    return ''
  } catch (e) {
    return `This is not JSON yet: ${e instanceof Error ? e.message : String(e)}`
  }
}

function Outcome({ of: s }: { of: Simulation }) {
  const problems = s.problems ?? []
  if (problems.length > 0)
    return (
      <div className="banner" data-state="failed" role="alert">
        <Glyph state="failed" />
        <ul>
          {problems.map((p, i) => (
            <li key={i}>
              {p.message} {p.hint && <span className="dim">{p.hint}</span>} {p.location && <code>{p.location}</code>}
            </li>
          ))}
        </ul>
      </div>
    )
  return (
    <section className="stack wide" aria-label="Outcome" aria-live="polite">
      <div className="head">
        <StateChip state={s.state ?? 'pending'} />
        {(s.flags ?? []).map((f) => (
          <Tag key={f}>{f}</Tag>
        ))}
        <span className="dim">
          in {s.duration} of its own time, {s.steps} steps
        </span>
      </div>
      {s.failure && (
        <p className="err">
          {s.failure.task}: {s.failure.message} {s.failure.hint && <span className="dim">{s.failure.hint}</span>}
        </p>
      )}
      {s.reason && <p className="dim">It waits: {s.reason.text}</p>}
      {(s.faults ?? []).map((f) => (
        <p key={f} className="err">
          {f}
        </p>
      ))}
      <Facts items={[['Undo would take back', (s.undoable ?? []).join(', ')]]} />
      <ul className="moments">
        {(s.tasks ?? []).map((t) => (
          <li key={t.path}>
            <Glyph state={t.state} title={t.state} />
            <details>
              <summary>
                <b>{t.path}</b> {t.use && <Tag>{t.use}</Tag>} <span className="dim small">{[t.started && `from ${t.started}`, t.ended && `to ${t.ended}`, t.attempt && t.attempt > 1 && `${t.attempt} attempts`, t.why].filter(Boolean).join(', ')}</span>
              </summary>
              {t.failure && <p className="err">{t.failure.message}</p>}
              {t.input !== undefined && <Json value={t.input} label={`Input of ${t.path}`} />}
              {t.output !== undefined && <Json value={t.output} label={`Output of ${t.path}`} />}
            </details>
          </li>
        ))}
      </ul>
      {s.outputs !== undefined && <Json value={s.outputs} label="Outputs" />}
      <details>
        <summary>The inputs it was played with</summary>
        <Json value={s.inputs} label="Inputs" />
      </details>
    </section>
  )
}
