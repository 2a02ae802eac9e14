import { useEffect, useRef } from 'react'
import { Glyph } from '@/kit'
import { canvas, usePalette } from '@/views/palette'
import { useSize } from '@/views/size'
import { outcomes, tally } from './board'

/** Up to so many targets have a cell with a glyph; beyond they are painted. */
export const most = 2000

/** Cells are the targets of a wave, one each, in the order in which they were asked. */
export function Cells({ cells, small, onPick }: { cells: string; small: boolean; onPick: (outcome: string) => void }) {
  if (small) return <Painted cells={cells} onPick={onPick} />
  return (
    <div className="cells" role="img" aria-label={tally(cells)}>
      {[...cells].map((c, i) => {
        const o = outcomes[c] ?? { word: '', state: 'pending' }
        return (
          <i key={i} data-state={o.state} title={o.word} onClick={() => onPick(o.word)}>
            <Glyph state={o.state} />
          </i>
        )
      })}
    </div>
  )
}

const size = 8
const gap = 1

/** Painted is the same on a canvas, for many. */
function Painted({ cells, onPick }: { cells: string; onPick: (outcome: string) => void }) {
  const box = useRef<HTMLDivElement>(null)
  const paper = useRef<HTMLCanvasElement>(null)
  const palette = usePalette(box)
  const width = useSize(box).w
  const columns = Math.max(1, Math.floor(width / (size + gap)))
  // A canvas has its limits: beyond them a cell stands for several targets, and shows the worst of them.
  const fold = Math.max(1, Math.ceil(Math.ceil(cells.length / columns) / 900))
  const shown = fold === 1 ? cells : worst(cells, fold)
  const height = Math.ceil(shown.length / columns) * (size + gap)
  useEffect(() => {
    const ctx = paper.current && width > 0 && palette ? canvas(paper.current, width, height) : null
    if (!ctx || !palette) return
    for (let i = 0; i < shown.length; i++) {
      ctx.fillStyle = (palette.state as Record<string, string>)[outcomes[shown[i] ?? 'u']?.state ?? 'pending'] ?? palette.dim
      ctx.fillRect((i % columns) * (size + gap), Math.floor(i / columns) * (size + gap), size, size)
    }
  }, [shown, columns, width, height, palette])
  const pick = (e: React.MouseEvent) => {
    const at = paper.current?.getBoundingClientRect()
    if (!at) return
    const i = Math.floor((e.clientY - at.top) / (size + gap)) * columns + Math.floor((e.clientX - at.left) / (size + gap))
    const o = outcomes[shown[i] ?? '']
    if (o) onPick(o.word)
  }
  return (
    <div ref={box} className="painted">
      <canvas ref={paper} style={{ width: '100%', height }} role="img" aria-label={tally(cells)} onClick={pick} />
      {fold > 1 && <p className="dim small">A square stands for {fold} targets, and shows the worst of them.</p>}
    </div>
  )
}

/** worst joins each n cells into one. */
function worst(cells: string, n: number): string {
  let out = ''
  for (let i = 0; i < cells.length; i += n) {
    const part = cells.slice(i, i + n)
    out += [...'fwpxus'].find((c) => part.includes(c)) ?? 'u'
  }
  return out
}
