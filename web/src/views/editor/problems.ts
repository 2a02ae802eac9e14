/** A thing that is wrong, as the server says it. */
export interface Problem {
  location?: string // "vm.yaml:12:9", or a path in a body
  message: string
  hint?: string
}

/** Where in a text a problem is: offsets, with the line and column it was given with. */
export interface Mark {
  from: number
  to: number
  line: number
  column: number
  problem: Problem
}

/** place reads the line and column of a location such as "vm.yaml:12:9"; undefined where it has none. */
export function place(location: string | undefined): { line: number; column: number } | undefined {
  const m = /:(\d+)(?::(\d+))?$/.exec(location ?? '')
  return m ? { line: Number(m[1]), column: Number(m[2] ?? 1) } : undefined
}

/** marks turns problems into places of a text. One without a place marks the first line. */
export function marks(text: string, problems: readonly Problem[]): Mark[] {
  const starts = [0]
  for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) starts.push(i + 1)
  return problems.map((problem) => {
    const p = place(problem.location) ?? { line: 1, column: 1 }
    const line = Math.min(Math.max(1, p.line), starts.length)
    const start = starts[line - 1]!
    const end = line < starts.length ? starts[line]! - 1 : text.length
    const from = Math.min(start + Math.max(0, p.column - 1), end)
    const word = /^[^\s,:{}[\]]+/.exec(text.slice(from, end))?.[0].length ?? 0
    const to = word > 0 ? from + word : Math.min(end, from + 1)
    return { from: from === to ? Math.max(start, from - 1) : from, to, line, column: p.column, problem }
  })
}
