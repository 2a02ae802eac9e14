/** The one vocabulary of states: what each looks like in a box of 14 x 14; the colour comes from [data-state]. */
export const glyphs: Record<string, { d: string; fill?: boolean }> = {
  pending: { d: 'M7 2.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 1 1 0-9z' },
  running: { d: 'M7 2a5 5 0 0 0 0 10a5 5 0 1 0 0-10zM7 3.4a3.6 3.6 0 0 1 0 7.2z', fill: true },
  waiting: { d: 'M4 2.5h2v9H4zM8 2.5h2v9H8z', fill: true },
  succeeded: { d: 'M2.5 7.5l3 3l6-7' },
  failed: { d: 'M3 3l8 8M11 3l-8 8' },
  skipped: { d: 'M3 7h8' },
  cancelled: { d: 'M7 2.2a4.8 4.8 0 1 1 0 9.6a4.8 4.8 0 1 1 0-9.6zM3.6 10.4l6.8-6.8' },
}
