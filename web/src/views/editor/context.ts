/** Where a cursor is in a YAML document, as far as completion has to know. */
export interface Context {
  kind: 'key' | 'value' | 'expression' | 'none'
  path: string[] // of the map the key is in, or of the value; a list's items are "[]"
  from: number // offset at which the word under the cursor begins
  word: string
  siblings: string[] // keys that are there already
  use: string // of the task that is around, where there is one
}

interface Line {
  at: number // offset of the line
  indent: number // of its first key, behind "- "
  items: number[] // indents of the dashes before it
  key: string | undefined
  rest: string // what follows the colon
}

const keyed = /^("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#{}[\],&*!|>'"%@`-][^#{}[\],]*?|-[^\s][^:]*)\s*:(?=\s|$)/

function read(raw: string, at: number): Line {
  let i = 0
  const items: number[] = []
  for (;;) {
    while (raw[i] === ' ') i++
    if (raw[i] === '-' && (raw[i + 1] === ' ' || raw[i + 1] === undefined)) items.push(i++)
    else break
  }
  const m = keyed.exec(raw.slice(i))
  return { at, indent: i, items, key: m ? unquote(m[1]!) : undefined, rest: m ? raw.slice(i + m[0].length) : raw.slice(i) }
}

function unquote(s: string): string {
  return /^["']/.test(s) ? s.slice(1, -1) : s
}

/** contextAt finds out what may be written at an offset, from the indents of the lines above and around. */
export function contextAt(text: string, offset: number): Context {
  const start = text.lastIndexOf('\n', offset - 1) + 1
  const before = text.slice(start, offset)
  const doc = text.slice(0, offset).search(/(^|\n)---[^\n]*\n(?![\s\S]*\n---[^\n]*\n)/)
  const top = doc < 0 ? 0 : text.indexOf('\n', doc + 1) + 1
  const none: Context = { kind: 'none', path: [], from: offset, word: '', siblings: [], use: '' }

  const open = before.lastIndexOf('${{')
  if (open >= 0 && !before.slice(open).includes('}}')) {
    const word = /[A-Za-z0-9_.?]*$/.exec(before.slice(open + 3))![0]
    return { ...none, kind: 'expression', word, from: offset - word.length }
  }
  if (/(^|\s)#[^"']*$/.test(before)) return none

  const lines = text.slice(top, start).split('\n').slice(0, -1)
  let at = top
  const above = lines.map((l) => {
    const r = read(l, at)
    at += l.length + 1
    return { ...r, blank: l.trim() === '' || l.trim().startsWith('#') }
  })
  const here = read(before, start)
  const path = parents(above, here)
  if (path === undefined) return none // inside a block of text

  let kind: Context['kind'] = 'key',
    word = here.rest.trimStart(),
    siblings = around(text, top, start, here)
  const full = [...path]
  if (here.key !== undefined) {
    if (!/\s/.test(here.rest[0] ?? '')) return none
    full.push(here.key)
    kind = 'value'
    word = here.rest.trimStart()
    siblings = []
  }
  const flow = inFlow(word)
  if (flow) {
    full.push(...flow.path)
    return {
      kind: flow.kind,
      path: full,
      word: flow.word,
      from: offset - flow.word.length,
      siblings: flow.siblings,
      use: flow.use || useAround(text, top, start, above, here, full),
    }
  }
  if (/^["'|>]/.test(word) || word.includes(': ')) return none
  return { kind, path: full, word, from: offset - word.length, siblings, use: useAround(text, top, start, above, here, full) }
}

/** parents returns the keys around a line; undefined where it is text. */
function parents(above: (Line & { blank: boolean })[], here: Line): string[] | undefined {
  const path: string[] = []
  let indent = here.items[0] ?? here.indent
  if (here.items.length > 0) path.unshift(...here.items.map(() => '[]'))
  for (let i = above.length - 1; i >= 0; i--) {
    const l = above[i]!
    if (l.blank) continue
    const dash = l.items[0]
    const inItem = l.items.length > 0 && l.indent <= indent && dash! < indent
    if (l.key !== undefined && l.indent < indent) {
      if (/^\s*[|>][+-]?\d*\s*$/.test(l.rest)) return undefined
      path.unshift(l.key)
      indent = l.indent
    } else if (l.key !== undefined && here.items.length > 0 && path[0] === '[]' && l.indent === indent && l.items.length === 0) {
      path.unshift(l.key) // a list may stand as far left as its key
      indent = l.indent
    }
    if (inItem) {
      path.unshift('[]')
      indent = dash!
    }
  }
  return path
}

/** around returns the other keys of the block map that a line belongs to. */
function around(text: string, top: number, start: number, here: Line): string[] {
  return block(text, top, start, here.indent).map((l) => l.key)
}

/** block returns the lines with a key at an indent that are in the same map as the line at an offset. */
function block(text: string, top: number, start: number, indent: number): { key: string; rest: string }[] {
  const out: { key: string; rest: string }[] = []
  const take = (raw: string): boolean => {
    if (raw.trim() === '' || raw.trim().startsWith('#')) return true
    if (raw.startsWith('---')) return false
    const l = read(raw, 0)
    if (l.indent < indent) return false
    if (l.indent === indent && l.key !== undefined) out.push({ key: l.key, rest: l.rest })
    return !(l.indent === indent && l.items.length > 0)
  }
  const up = text.slice(top, start).split('\n').slice(0, -1)
  for (let i = up.length - 1; i >= 0; i--) if (!take(up[i]!)) break
  const own = text.indexOf('\n', start)
  const down = own < 0 ? [] : text.slice(own + 1).split('\n')
  for (const raw of down) {
    if (raw.trim() !== '' && read(raw, 0).items.length > 0 && read(raw, 0).indent <= indent) break
    if (!take(raw)) break
  }
  return out
}

/** useAround finds the task type of the task whose "with" a place is in. */
function useAround(text: string, top: number, start: number, above: (Line & { blank: boolean })[], here: Line, path: string[]): string {
  const w = path.lastIndexOf('with')
  if (w < 0) return ''
  if (here.key === 'with') return useOf(block(text, top, start, here.indent))
  let indent = here.items[0] ?? here.indent
  for (let i = above.length - 1; i >= 0; i--) {
    const l = above[i]!
    if (l.blank || l.key === undefined || l.indent >= indent) continue
    indent = l.indent
    if (l.key === 'with') return useOf(block(text, top, l.at, l.indent))
  }
  return ''
}

function useOf(lines: { key: string; rest: string }[]): string {
  return unquote((lines.find((l) => l.key === 'use')?.rest ?? '').replace(/\s#.*$/, '').trim())
}

/** inFlow reads "{use: noop, with: {" up to the cursor; undefined outside of any bracket. */
function inFlow(s: string): { kind: 'key' | 'value'; path: string[]; word: string; siblings: string[]; use: string } | undefined {
  interface Level {
    list: boolean
    key: string | undefined
    keys: string[]
    use: string
  }
  const levels: Level[] = []
  let word = '',
    quote = ''
  for (let i = 0; i < s.length; i++) {
    const c = s[i]!
    const l = levels[levels.length - 1]
    if (quote) {
      if (c === quote) quote = ''
      else word += c
    } else if (c === '$' && s.startsWith('${{', i)) {
      const end = s.indexOf('}}', i)
      if (end < 0) return undefined
      i = end + 1
      word += '…'
    } else if (c === '{' || c === '[') {
      levels.push({ list: c === '[', key: undefined, keys: [], use: '' })
      word = ''
    } else if (!l) return undefined
    else if (c === '}' || c === ']') {
      levels.pop()
      word = ''
    } else if (c === ',') {
      if (l.key === 'use') l.use = word.trim()
      l.key = undefined
      word = ''
    } else if (c === ':' && !l.list && l.key === undefined && /\s|$/.test(s[i + 1] ?? ' ')) {
      l.key = word.trim()
      l.keys.push(l.key)
      word = ''
    } else if (c === '"' || c === "'") quote = c
    else word += c
  }
  const l = levels[levels.length - 1]
  if (!l || quote) return undefined
  const path: string[] = []
  for (const v of levels) {
    if (v.list) path.push('[]')
    else if (v.key !== undefined) path.push(v.key)
  }
  const inWith = levels.findIndex((v) => v.key === 'with')
  return {
    kind: l.list || l.key !== undefined ? 'value' : 'key',
    path,
    word: word.trimStart(),
    siblings: l.keys,
    use: inWith < 0 ? '' : levels[inWith]!.use,
  }
}
