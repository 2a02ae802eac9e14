/** A line of a log, as in the API. */
export interface LogLine {
  pos: number // its number in the log of the run, from 1
  task?: string
  attempt?: number
  at?: string
  stream?: string // out, err, log
  text: string
}

/** Rows [from, to) of a log. */
export interface Range {
  from: number
  to: number
}

const chunkSize = 500

/**
 * Rows holds the lines of a log by row, as far as they are known, in chunks. What is not known is a gap that can
 * be asked for; beyond a number of chunks those that were looked at longest ago are forgotten and can be asked for
 * again. It is changed in place; version tells that it was.
 */
export class Rows {
  total = 0
  version = 0
  private chunks = new Map<number, (LogLine | undefined)[]>() // in order of last use
  private asked = new Set<number>()

  constructor(private most = 400) {}

  /** grow says how many rows there are now; there are never fewer. */
  grow(total: number) {
    if (total <= this.total) return
    // The last chunk was asked for when it was shorter.
    this.asked.delete(Math.floor(this.total / chunkSize))
    this.total = total
    this.version++
  }

  get(row: number): LogLine | undefined {
    return this.chunks.get(Math.floor(row / chunkSize))?.[row % chunkSize]
  }

  /** put stores lines from a row on. */
  put(from: number, lines: readonly LogLine[]) {
    if (lines.length === 0) return
    this.grow(from + lines.length)
    lines.forEach((l, i) => {
      const c = Math.floor((from + i) / chunkSize)
      let chunk = this.chunks.get(c)
      if (!chunk) this.chunks.set(c, (chunk = new Array<LogLine | undefined>(chunkSize).fill(undefined)))
      chunk[(from + i) % chunkSize] = l
    })
    this.version++
    this.forget(Math.floor(from / chunkSize), Math.floor((from + lines.length - 1) / chunkSize))
  }

  /** missing returns what is not known of rows [from, to), whole chunks joined, and notes that it is asked for. */
  missing(from: number, to: number): Range[] {
    const out: Range[] = []
    const end = Math.min(to, this.total)
    for (let c = Math.floor(Math.max(0, from) / chunkSize); c * chunkSize < end; c++) {
      if (this.asked.has(c) || this.full(c)) continue
      this.asked.add(c)
      const r = { from: c * chunkSize, to: Math.min((c + 1) * chunkSize, this.total) }
      const last = out[out.length - 1]
      if (last && last.to === r.from) last.to = r.to
      else out.push(r)
    }
    return out
  }

  /** answered says that what was asked for has come, or failed: what is still missing may be asked for again. */
  answered(r: Range) {
    for (let c = Math.floor(r.from / chunkSize); c * chunkSize < r.to; c++) this.asked.delete(c)
    this.version++
  }

  private full(c: number): boolean {
    const chunk = this.chunks.get(c)
    if (!chunk) return false
    this.chunks.delete(c) // used now
    this.chunks.set(c, chunk)
    const n = Math.min(chunkSize, this.total - c * chunkSize)
    for (let i = 0; i < n; i++) if (!chunk[i]) return false
    return true
  }

  private forget(first: number, last: number) {
    for (const c of this.chunks.keys()) {
      if (this.chunks.size <= this.most) return
      if (c < first || c > last) this.chunks.delete(c)
    }
  }
}
