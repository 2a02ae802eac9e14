// What the board of a rollout shows, computed from what the API says of it.
import type { Schemas } from '@/api/client'
import { count } from '@/lib/format'

export type Rollout = Schemas['Rollout']

/** The outcomes of targets, by their letter in the answer of cells, with the state whose colour and glyph they have. */
export const outcomes: Record<string, { word: string; state: string }> = {
  s: { word: 'succeeded', state: 'succeeded' },
  f: { word: 'failed', state: 'failed' },
  p: { word: 'pending', state: 'running' },
  w: { word: 'wavering', state: 'waiting' },
  u: { word: 'untouched', state: 'pending' },
  x: { word: 'silent', state: 'skipped' },
}

/** stateOf is the state, in the vocabulary of the whole UI, and the word for it. */
export function stateOf(r: Pick<Rollout, 'state' | 'paused' | 'settled'>): { state: string; word: string } {
  if (r.paused) return { state: 'waiting', word: 'paused' }
  switch (r.state) {
    case 'rolling':
      return r.settled ? { state: 'waiting', word: 'watching the wave' } : { state: 'running', word: 'rolling out' }
    case 'rolling back':
      return { state: 'running', word: 'rolling back' }
    case 'good':
      return { state: 'succeeded', word: 'good' }
    case 'reverted':
      return { state: 'cancelled', word: 'rolled back' }
    case 'stopped':
      return { state: 'failed', word: 'stopped' }
  }
  return { state: 'pending', word: r.state }
}

/** A row of the board: a wave, or several that have not begun, folded. */
export interface Wave {
  label: string
  from: number
  to: number
  state: string
  /** What came of its targets, in words. */
  note: string
}

/** waves divides the cells, which are in the order in which targets were asked, into the waves of the rollout. */
export function waves(r: Pick<Rollout, 'state' | 'sizes' | 'wave' | 'paused' | 'settled'>, cells: string): Wave[] {
  const n = cells.length
  if (n === 0) return []
  if (r.state !== 'rolling' || !r.sizes || r.sizes.length < 2) return [row('All', 0, n, r.state === 'rolling' ? 'running' : stateOf(r).state, cells)]
  const out: Wave[] = []
  const now = r.wave ?? 1
  let from = 0
  for (let i = 0; i < r.sizes.length; i++) {
    const to = Math.min(n, r.sizes[i] ?? n)
    if (to <= from) continue
    if (i + 1 > now) {
      out.push({ ...row(i + 1 === r.sizes.length ? `Wave ${i + 1}` : `Waves ${i + 1} to ${r.sizes.length}`, from, n, 'pending', cells) })
      break
    }
    out.push(row(`Wave ${i + 1}`, from, to, i + 1 < now ? 'succeeded' : r.paused || r.settled ? 'waiting' : 'running', cells))
    from = to
  }
  return out
}

function row(label: string, from: number, to: number, state: string, cells: string): Wave {
  return { label, from, to, state, note: tally(cells.slice(from, to)) }
}

/** tally counts cells in words: "27 succeeded, 3 pending". */
export function tally(cells: string): string {
  const n: Record<string, number> = {}
  for (const c of cells) n[c] = (n[c] ?? 0) + 1
  return Object.entries(outcomes)
    .filter(([letter]) => n[letter])
    .map(([letter, o]) => `${n[letter]} ${o.word}`)
    .join(', ')
}

/** ribbon is the share of each outcome, in hundredths of the whole, in the order of a bar. */
export function ribbon(r: Pick<Rollout, 'targets' | 'succeeded' | 'failed' | 'pending' | 'wavering'>): { state: string; share: number }[] {
  const n = Math.max(1, r.targets)
  return [
    { state: 'succeeded', share: r.succeeded / n },
    { state: 'waiting', share: r.wavering / n },
    { state: 'running', share: r.pending / n },
    { state: 'failed', share: Math.min(r.failed, r.targets) / n },
  ].filter((p) => p.share > 0)
}

/** back says what a rollback does, with its number. */
export function back(r: Pick<Rollout, 'targets' | 'untouched' | 'good' | 'state'>): string {
  return `Roll back ${count(r.targets - r.untouched, 'target')}${r.good ? ' to ' + r.good : ''}`
}
