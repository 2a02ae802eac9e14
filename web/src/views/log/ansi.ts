/** A piece of a line that looks the same throughout. Colours are class names ("a1" … "a15") or "#rrggbb". */
export interface Span {
  text: string
  fg?: string
  bg?: string
  bold?: boolean
  dim?: boolean
  italic?: boolean
  under?: boolean
  strike?: boolean
}

type Style = Omit<Span, 'text'> & { swap?: boolean }

// CSI … letter; OSC … BEL or ST (links, titles); other escapes of two or three characters.
// eslint-disable-next-line no-control-regex
const escape = /\x1b\[([0-9:;<=>?]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]?|\x9b[0-9;]*[@-~]/g
// eslint-disable-next-line no-control-regex
const control = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g

/**
 * spans reads a line with ANSI colours. What is no colour (cursor moves, titles, links) is left out; of a line
 * that was written over with carriage returns the last text stays; other control characters become "·". Every
 * line begins without a style, so that it looks the same however it was come by.
 */
export function spans(line: string): Span[] {
  const text = lastWritten(line)
  if (!/[\x00-\x1f\x7f-\x9f]/.test(text)) return text === '' ? [] : [{ text }] // eslint-disable-line no-control-regex
  const out: Span[] = []
  let style: Style = {}
  let at = 0
  const add = (t: string) => {
    if (t === '') return
    const { swap, ...look } = style
    const s = { ...look, text: t.replace(/\t/g, '    ').replace(control, '·') }
    out.push(swap ? { ...s, fg: look.bg ?? 'a0', bg: look.fg ?? 'a7' } : s)
  }
  for (const m of text.matchAll(escape)) {
    add(text.slice(at, m.index))
    at = m.index + m[0].length
    if (m[2] === 'm') style = restyle(style, m[1] ?? '')
  }
  add(text.slice(at))
  return out
}

/** plain is the text of a line without any escape. */
export function plain(line: string): string {
  return spans(line)
    .map((s) => s.text)
    .join('')
}

/** lastWritten follows carriage returns: a progress bar shows as it was last. */
function lastWritten(line: string): string {
  const parts = line.replace(/[\r\n]+$/, '').split('\r')
  for (let i = parts.length - 1; i > 0; i--) if (parts[i]!.replace(escape, '').trim() !== '') return parts[i]!
  return parts[0]!
}

function restyle(s: Style, params: string): Style {
  const ps = params === '' ? [0] : params.split(/[;:]/).map((p) => Number.parseInt(p || '0', 10))
  let next: Style = { ...s }
  for (let i = 0; i < ps.length; i++) {
    const p = ps[i]!
    if (p === 0) next = {}
    else if (p === 1) next.bold = true
    else if (p === 2) next.dim = true
    else if (p === 3) next.italic = true
    else if (p === 4) next.under = true
    else if (p === 7) next.swap = true
    else if (p === 9) next.strike = true
    else if (p === 22) next = without(next, 'bold', 'dim')
    else if (p === 23) next = without(next, 'italic')
    else if (p === 24) next = without(next, 'under')
    else if (p === 27) next = without(next, 'swap')
    else if (p === 29) next = without(next, 'strike')
    else if (p >= 30 && p <= 37) next.fg = 'a' + (p - 30)
    else if (p >= 90 && p <= 97) next.fg = 'a' + (p - 82)
    else if (p >= 40 && p <= 47) next.bg = 'a' + (p - 40)
    else if (p >= 100 && p <= 107) next.bg = 'a' + (p - 92)
    else if (p === 39) next = without(next, 'fg')
    else if (p === 49) next = without(next, 'bg')
    else if (p === 38 || p === 48) {
      const [colour, used] = extended(ps, i + 1)
      i += used
      if (colour) next[p === 38 ? 'fg' : 'bg'] = colour
    }
  }
  return next
}

function without(s: Style, ...keys: (keyof Style)[]): Style {
  const c = { ...s }
  for (const k of keys) delete c[k]
  return c
}

/** extended reads what follows 38 or 48: "5;n" of 256 colours, or "2;r;g;b". */
function extended(ps: number[], i: number): [string | undefined, number] {
  if (ps[i] === 5) {
    const n = ps[i + 1]
    return [n === undefined || n < 0 || n > 255 ? undefined : palette(n), 2]
  }
  if (ps[i] === 2) {
    const rgb = ps.slice(i + 1, i + 4)
    return [rgb.length === 3 && rgb.every((v) => v >= 0 && v <= 255) ? hex(rgb) : undefined, 4]
  }
  return [undefined, 1]
}

/** palette is colour n of 256: 16 by name, a cube of 6x6x6, and 24 greys. */
function palette(n: number): string {
  if (n < 16) return 'a' + n
  if (n >= 232) return hex([8 + 10 * (n - 232), 8 + 10 * (n - 232), 8 + 10 * (n - 232)])
  const level = (v: number) => (v === 0 ? 0 : 55 + 40 * v)
  return hex([level(Math.floor((n - 16) / 36)), level(Math.floor((n - 16) / 6) % 6), level((n - 16) % 6)])
}

function hex(rgb: number[]): string {
  return '#' + rgb.map((v) => v.toString(16).padStart(2, '0')).join('')
}

/** The log's ground; see --log. */
const ground = 0x0f / 255

/**
 * legible lightens a colour that could not be read on the log's dark ground, keeping its hue: some programs
 * write dark blue on what they take to be white paper.
 */
export function legible(colour: string): string {
  const rgb = [1, 3, 5].map((i) => Number.parseInt(colour.slice(i, i + 2), 16) / 255)
  const lum = (c: number[]) => {
    const [r, g, b] = c.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)) as [number, number, number]
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const low = lum([ground, ground + 0.02, ground + 0.04])
  for (let mix = 0; mix < 1; mix += 0.1) {
    const c = rgb.map((v) => v + (1 - v) * mix)
    if ((lum(c) + 0.05) / (low + 0.05) >= 4.6) return hex(c.map((v) => Math.round(v * 255)))
  }
  return '#ffffff'
}

/** marked cuts spans where a text is found, ignoring case; the pieces found have mark set. */
export function marked(of: Span[], find: string): (Span & { mark?: boolean })[] {
  if (find === '') return of
  const whole = of
    .map((s) => s.text)
    .join('')
    .toLowerCase()
  const needle = find.toLowerCase()
  const hits: [number, number][] = []
  for (let i = whole.indexOf(needle); i >= 0; i = whole.indexOf(needle, i + needle.length)) hits.push([i, i + needle.length])
  if (hits.length === 0) return of
  const out: (Span & { mark?: boolean })[] = []
  let at = 0
  for (const s of of) {
    const end = at + s.text.length
    let from = at
    for (const [a, b] of hits) {
      const lo = Math.max(a, from),
        hi = Math.min(b, end)
      if (lo >= hi) continue
      if (lo > from) out.push({ ...s, text: s.text.slice(from - at, lo - at) })
      out.push({ ...s, text: s.text.slice(lo - at, hi - at), mark: true })
      from = hi
    }
    if (from < end) out.push({ ...s, text: s.text.slice(from - at) })
    at = end
  }
  return out
}
