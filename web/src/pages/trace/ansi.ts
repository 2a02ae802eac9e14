// Colours in logs: the SGR sequences of terminals, as classes. Every other control sequence is left out.

export interface Piece {
  text: string
  className: string
}

// eslint-disable-next-line no-control-regex
const sequence = /\x1b(?:\[([0-9;:]*)([A-Za-z])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]/g

/** pieces cuts a line into parts of one look each. */
export function pieces(line: string): Piece[] {
  if (!/[\x00-\x08\x0b-\x1f\x7f]/.test(line)) return [{ text: line, className: '' }]
  const out: Piece[] = []
  let colour = ''
  let bold = false
  let faint = false
  let underline = false
  let at = 0
  const put = (text: string) => {
    if (text) out.push({ text, className: [bold && 'a1', faint && 'a2', underline && 'a4', colour].filter(Boolean).join(' ') })
  }
  for (const m of line.matchAll(sequence)) {
    put(line.slice(at, m.index))
    at = m.index + m[0].length
    if (m[2] !== 'm') continue
    const codes = (m[1] || '0').split(/[;:]/).map(Number)
    for (let i = 0; i < codes.length; i++) {
      const c = codes[i]!
      if (c === 0) [colour, bold, faint, underline] = ['', false, false, false]
      else if (c === 1) bold = true
      else if (c === 2) faint = true
      else if (c === 4) underline = true
      else if (c === 22) bold = faint = false
      else if (c === 24) underline = false
      else if (c >= 30 && c <= 37) colour = `f${c - 30}`
      else if (c >= 90 && c <= 97) colour = `f${c - 90}`
      else if (c === 39) colour = ''
      else if (c === 38 || c === 48) i += codes[i + 1] === 5 ? 2 : 4 // of 256 or all colours: as it is
    }
  }
  put(line.slice(at))
  return out
}
