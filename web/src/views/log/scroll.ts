/** The tallest element that every browser scrolls exactly, in pixels. */
export const tallest = 8_000_000

/**
 * Scroll maps between the place of a scroll bar and a place in a text that may be taller than any element can
 * be: beyond that height a pixel of the bar stands for more than one of the text.
 */
export class Scroll {
  readonly height: number // of the element that is scrolled
  private readonly factor: number

  constructor(
    readonly text: number,
    readonly view: number,
  ) {
    this.height = Math.min(text, tallest)
    this.factor = this.height > view ? (text - view) / (this.height - view) : 1
  }

  /** toText turns a scrollTop into a place in the text. */
  toText(top: number): number {
    return Math.max(0, Math.min(top * this.factor, Math.max(0, this.text - this.view)))
  }

  /** toBar turns a place in the text into a scrollTop. */
  toBar(place: number): number {
    return Math.max(0, Math.min(place, Math.max(0, this.text - this.view))) / this.factor
  }
}

/** columns returns how many cells of a fixed-width font a text takes: wide characters take two, marks none. */
export function columns(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let n = 0
  for (const ch of text) {
    const c = ch.codePointAt(0)!
    if ((c >= 0x300 && c <= 0x36f) || (c >= 0x200b && c <= 0x200f) || (c >= 0xfe00 && c <= 0xfe0f)) continue
    n +=
      (c >= 0x1100 && c <= 0x115f) ||
      (c >= 0x2e80 && c <= 0xa4cf) ||
      (c >= 0xac00 && c <= 0xd7a3) ||
      (c >= 0xf900 && c <= 0xfaff) ||
      (c >= 0xfe30 && c <= 0xfe6f) ||
      (c >= 0xff00 && c <= 0xff60) ||
      c >= 0x1f300
        ? 2
        : 1
  }
  return n
}

/** wrapped returns how many screen lines a text takes at a width in cells. */
export function wrapped(text: string, width: number): number {
  return Math.max(1, Math.ceil(columns(text) / Math.max(1, width)))
}
