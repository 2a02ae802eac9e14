import { useState } from 'react'
import type { ApiError, Schemas } from '@/api/client'
import { Button, Dialog, Diff, ErrorBox, Field, Tag, diffLines } from '@/kit'

export interface PublishProps {
  name: string
  published: string
  text: string
  changes: Schemas['Change'][]
  busy: boolean
  error: ApiError | null
  onClose: () => void
  onPublish: (note: string) => void
}

/** Publish asks for the note of a new version, beside what it changes. */
export function Publish(p: PublishProps) {
  const [note, setNote] = useState('')
  return (
    <Dialog
      title={`Publish ${p.name}`}
      wide
      onClose={p.onClose}
      onSubmit={() => !p.busy && p.onPublish(note.trim())}
      foot={
        <>
          <Button onClick={p.onClose}>Keep editing</Button>
          <Button type="submit" kind="primary" perm="definition.apply" busy={p.busy}>
            Publish {p.changes.length === 1 && p.changes[0] ? `version ${p.changes[0].version}` : `${p.changes.length} definitions`}
          </Button>
        </>
      }
    >
      {p.error && <ErrorBox error={p.error} what="Nothing was published" />}
      <ul className="changes">
        {p.changes.map((c) => (
          <li key={c.kind + c.name}>
            <Tag>{c.action}</Tag> {c.kind} <b>{c.name}</b> becomes version {c.version}
          </li>
        ))}
      </ul>
      <p className="dim">Runs that go on keep the version they began with. New ones take this.</p>
      <Field label="Why" hint="For the history; optional" value={note} maxLength={1000} autoFocus onChange={(e) => setNote(e.target.value)} />
      <div className="publishdiff">
        <Diff label="What changes" lines={around(diffLines(p.published, p.text), 3)} />
      </div>
    </Dialog>
  )
}

/** around keeps of a diff the lines that changed, with a few before and after; "…" stands for the rest. */
export function around(lines: string[], n: number): string[] {
  const near = (i: number) => lines.slice(Math.max(0, i - n), i + n + 1).some((l) => !l.startsWith('  '))
  const out: string[] = []
  lines.forEach((l, i) => {
    if (near(i)) out.push(l)
    else if (out.at(-1) !== '  …') out.push('  …')
  })
  return out
}
