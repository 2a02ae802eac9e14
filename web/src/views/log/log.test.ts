import { describe, expect, test } from 'vitest'
import { legible, marked, plain, spans } from './ansi'
import { Heights } from './heights'
import { Rows, type LogLine } from './rows'
import { columns, Scroll, tallest, wrapped } from './scroll'
import { nearest } from './useFind'

describe('spans', () => {
  test.each([
    ['plain', [{ text: 'plain' }]],
    ['', []],
    ['\x1b[31mred\x1b[0m not', [{ text: 'red', fg: 'a1' }, { text: ' not' }]],
    ['\x1b[1;92mx', [{ text: 'x', bold: true, fg: 'a10' }]],
    ['\x1b[38;5;196mx\x1b[39my', [{ text: 'x', fg: '#ff0000' }, { text: 'y' }]],
    ['\x1b[48;5;244mx', [{ text: 'x', bg: '#808080' }]],
    ['\x1b[38;2;1;2;255mx', [{ text: 'x', fg: '#0102ff' }]],
    ['\x1b[7;31mx', [{ text: 'x', fg: 'a0', bg: 'a1' }]],
    ['\x1b[4mx\x1b[24my', [{ text: 'x', under: true }, { text: 'y' }]],
    ['\x1b[38;2;999;0;0mx', [{ text: 'x' }]], // no such colour
    ['a\x1b[2Kb\x1b[1Ac', [{ text: 'a' }, { text: 'b' }, { text: 'c' }]], // moves of the cursor
    ['\x1b]0;title\x07x', [{ text: 'x' }]],
    ['\x1b]8;;http://e\x1b\\link\x1b]8;;\x1b\\', [{ text: 'link' }]],
    ['10%\r50%\r100%', [{ text: '100%' }]],
    ['done\r', [{ text: 'done' }]],
    ['50%\r\x1b[K', [{ text: '50%' }]],
    ['a\tb\x00c', [{ text: 'a    b·c' }]],
  ])('%j', (line, want) => expect(spans(line)).toEqual(want))

  test('any bytes give text without control characters', () => {
    let seed = 7
    const next = (n: number) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n
    const bits = ['\x1b', '[', ']', ';', 'm', '0', '38', '5', '2', '\x07', '\\', '<b>', 'é', '\r', '\x9b', '日', 'x', ' ']
    for (let i = 0; i < 5000; i++) {
      const line = Array.from({ length: next(14) }, () => bits[next(bits.length)]).join('')
      expect(plain(line), JSON.stringify(line)).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/) // eslint-disable-line no-control-regex
    }
  })
})

test('legible lightens what is too dark, and leaves the rest', () => {
  expect(legible('#ffd700')).toBe('#ffd700')
  expect(legible('#00005f')).not.toBe('#00005f')
})

test('marked finds a text across colours, ignoring case', () => {
  const out = marked(spans('\x1b[31mERR\x1b[0mor here, error there'), 'error')
  expect(out.filter((s) => s.mark).map((s) => s.text)).toEqual(['ERR', 'or', 'error'])
  expect(out.map((s) => s.text).join('')).toBe('ERRor here, error there')
})

describe('Rows', () => {
  const lines = (from: number, n: number): LogLine[] => Array.from({ length: n }, (_, i) => ({ pos: from + i + 1, text: 'l' + (from + i) }))
  test('asks for what is missing, once, in whole chunks joined', () => {
    const r = new Rows()
    r.grow(5000)
    expect(r.missing(900, 1600)).toEqual([{ from: 500, to: 2000 }])
    expect(r.missing(900, 1600)).toEqual([])
    r.put(500, lines(500, 1500))
    r.answered({ from: 500, to: 2000 })
    expect(r.get(1999)?.text).toBe('l1999')
    expect(r.missing(0, 2100)).toEqual([
      { from: 0, to: 500 },
      { from: 2000, to: 2500 },
    ])
  })
  test('an answer that failed may be asked for again', () => {
    const r = new Rows()
    r.grow(10)
    const [range] = r.missing(0, 10)
    r.answered(range!)
    expect(r.missing(0, 10)).toEqual([{ from: 0, to: 10 }])
  })
  test('lines that come live close the last chunk', () => {
    const r = new Rows()
    r.put(0, lines(0, 10))
    expect(r.total).toBe(10)
    expect(r.missing(0, 10)).toEqual([])
    r.grow(30) // told of, but not seen: a gap
    expect(r.missing(0, 30)).toEqual([{ from: 0, to: 30 }])
  })
  test('forgets what was looked at longest ago', () => {
    const r = new Rows(3)
    for (let i = 0; i < 5; i++) {
      r.put(i * 500, lines(i * 500, 500))
      r.missing(0, 1) // the first is in use
    }
    expect(r.get(0)).toBeDefined()
    expect(r.get(500)).toBeUndefined()
    expect(r.missing(500, 600)).toEqual([{ from: 500, to: 1000 }])
  })
})

test('Heights finds rows among rows of several screen lines', () => {
  const h = new Heights()
  h.grow(2000)
  expect([h.sum, h.above(1500), h.at(1500)]).toEqual([2000, 1500, 1500])
  expect(h.set(10, 5)).toBe(true)
  expect(h.set(10, 5)).toBe(false)
  expect([h.sum, h.above(10), h.above(11), h.at(10), h.at(14), h.at(15)]).toEqual([2004, 10, 15, 10, 10, 11])
  expect(h.at(1e9)).toBe(1999)
  h.grow(3000)
  expect(h.above(3000)).toBe(3004)
  // against the sum, at every row
  for (let i = 0; i < 3000; i += 7) h.set(i, 1 + (i % 4))
  let sum = 0
  for (let i = 0; i < 3000; i++) {
    expect(h.above(i)).toBe(sum)
    expect(h.at(sum)).toBe(i)
    sum += h.of(i)
  }
})

describe('Scroll', () => {
  test('is the identity for what an element can hold', () => {
    const s = new Scroll(10_000, 500)
    expect([s.height, s.toText(1234), s.toBar(1234), s.toText(99_999)]).toEqual([10_000, 1234, 1234, 9500])
  })
  test('reaches both ends of what no element can hold', () => {
    const s = new Scroll(90_000_000, 800)
    expect(s.height).toBe(tallest)
    expect(s.toText(0)).toBe(0)
    expect(s.toText(tallest - 800)).toBe(90_000_000 - 800)
    expect(s.toText(s.toBar(45_000_000))).toBeCloseTo(45_000_000)
  })
  test('a text shorter than the view does not scroll', () => expect(new Scroll(100, 500).toText(50)).toBe(0))
})

test.each([
  ['abc', 3],
  ['日本', 4],
  ['e\u0301', 1],
  ['🙂', 2],
])('columns(%s) = %d', (text, want) => expect(columns(text)).toBe(want))

test('wrapped counts screen lines', () => expect([wrapped('', 80), wrapped('x'.repeat(80), 80), wrapped('x'.repeat(81), 80)]).toEqual([1, 1, 2]))

test('a search begins at what is seen, and wraps', () => expect([nearest([5, 50, 90], 40), nearest([5, 50, 90], 91)]).toEqual([1, 0]))
