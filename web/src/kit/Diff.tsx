/** Diff shows text line by line; lines with + or - before them are added or taken away. */
export function Diff({ lines, label }: { lines: string[]; label: string }) {
  return (
    <div className="code" role="region" aria-label={label} tabIndex={0}>
      {lines.map((l, i) => (
        <div key={i} className={l.startsWith('+') ? 'add' : l.startsWith('-') ? 'del' : undefined}>
          {l || ' '}
        </div>
      ))}
    </div>
  )
}

/** diffLines compares two texts and returns lines with "+ ", "- " or "  " before them. */
export function diffLines(before: string, after: string): string[] {
  const a = before.split('\n')
  const b = after.split('\n')
  let head = 0
  while (head < a.length && head < b.length && a[head] === b[head]) head++
  let tail = 0
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++
  const x = a.slice(head, a.length - tail)
  const y = b.slice(head, b.length - tail)
  const same = (l: string) => '  ' + l
  return [...a.slice(0, head).map(same), ...middle(x, y), ...a.slice(a.length - tail).map(same)]
}

// middle is the longest common subsequence of what differs; very long texts are told as replaced.
function middle(x: string[], y: string[]): string[] {
  if (x.length * y.length > 4_000_000) return [...x.map((l) => '- ' + l), ...y.map((l) => '+ ' + l)]
  const w = y.length + 1
  const best = new Uint32Array((x.length + 1) * w)
  for (let i = x.length - 1; i >= 0; i--) {
    for (let j = y.length - 1; j >= 0; j--) {
      best[i * w + j] = x[i] === y[j] ? best[(i + 1) * w + j + 1]! + 1 : Math.max(best[(i + 1) * w + j]!, best[i * w + j + 1]!)
    }
  }
  const out: string[] = []
  let i = 0
  let j = 0
  while (i < x.length || j < y.length) {
    if (i < x.length && j < y.length && x[i] === y[j]) {
      out.push('  ' + x[i])
      i++
      j++
    } else if (j >= y.length || (i < x.length && best[(i + 1) * w + j]! >= best[i * w + j + 1]!)) out.push('- ' + x[i++])
    else out.push('+ ' + y[j++])
  }
  return out
}
