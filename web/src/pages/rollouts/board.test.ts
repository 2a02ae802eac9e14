import { describe, expect, it } from 'vitest'
import { back, ribbon, stateOf, tally, waves } from './board'

describe('waves', () => {
  it('divides the cells, and folds what has not begun', () => {
    const cells = 'sssfpp' + 'u'.repeat(14)
    expect(waves({ state: 'rolling', sizes: [2, 8, 10, 20], wave: 2 }, cells)).toEqual([
      { label: 'Wave 1', from: 0, to: 2, state: 'succeeded', note: '2 succeeded' },
      { label: 'Wave 2', from: 2, to: 8, state: 'running', note: '1 succeeded, 1 failed, 2 pending, 2 untouched' },
      { label: 'Waves 3 to 4', from: 8, to: 20, state: 'pending', note: '12 untouched' },
    ])
  })
  it('is one row where there is one wave, or none goes out', () => {
    expect(waves({ state: 'good', sizes: [1, 3] }, 'sss')).toEqual([{ label: 'All', from: 0, to: 3, state: 'succeeded', note: '3 succeeded' }])
    expect(waves({ state: 'rolling', sizes: [3], wave: 1 }, '')).toEqual([])
  })
})

it('says what it is in the words of the whole UI', () => {
  expect(stateOf({ state: 'rolling', paused: true })).toEqual({ state: 'waiting', word: 'paused' })
  expect(stateOf({ state: 'reverted' })).toEqual({ state: 'cancelled', word: 'rolled back' })
  expect(tally('')).toBe('')
  expect(back({ targets: 10, untouched: 7, good: 'v1', state: 'rolling' })).toBe('Roll back 3 targets to v1')
  expect(ribbon({ targets: 4, succeeded: 1, failed: 1, pending: 0, wavering: 0 })).toEqual([
    { state: 'succeeded', share: 0.25 },
    { state: 'failed', share: 0.25 },
  ])
})
