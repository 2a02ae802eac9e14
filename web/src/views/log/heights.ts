const blockSize = 512

/**
 * Heights knows how many screen lines each row takes, 1 unless told, and finds rows by how far down they are, in
 * sums of blocks: 100,000 rows are 200 blocks.
 */
export class Heights {
  private lines: Uint16Array = new Uint16Array(0)
  private blocks: number[] = []
  total = 0 // rows
  sum = 0 // screen lines of all rows

  grow(total: number) {
    if (total <= this.total) return
    if (total > this.lines.length) {
      const more = new Uint16Array(Math.max(total, this.lines.length * 2, 1024))
      more.set(this.lines)
      this.lines = more
    }
    for (let i = this.total; i < total; i++) {
      this.lines[i] = 1
      const b = Math.floor(i / blockSize)
      this.blocks[b] = (this.blocks[b] ?? 0) + 1
    }
    this.sum += total - this.total
    this.total = total
  }

  /** set says how many screen lines a row takes, and returns whether that is news. */
  set(row: number, n: number): boolean {
    const is = Math.min(65535, Math.max(1, n)),
      was = this.lines[row] ?? 0
    if (row >= this.total || was === is) return false
    this.lines[row] = is
    this.blocks[Math.floor(row / blockSize)]! += is - was
    this.sum += is - was
    return true
  }

  of(row: number): number {
    return row < this.total ? this.lines[row]! : 1
  }

  /** above returns how many screen lines are above a row. */
  above(row: number): number {
    const r = Math.min(row, this.total),
      b = Math.floor(r / blockSize)
    let n = 0
    for (let i = 0; i < b; i++) n += this.blocks[i]!
    for (let i = b * blockSize; i < r; i++) n += this.lines[i]!
    return n
  }

  /** at returns the row that covers a screen line; the last row beyond the end. */
  at(line: number): number {
    let left = Math.max(0, line),
      b = 0
    while (b < this.blocks.length - 1 && left >= this.blocks[b]!) left -= this.blocks[b++]!
    for (let i = b * blockSize; i < this.total; i++) {
      if (left < this.lines[i]!) return i
      left -= this.lines[i]!
    }
    return Math.max(0, this.total - 1)
  }
}
