import { useState } from 'react'
import { ApiError } from '@/api/client'
import { toast } from '@/kit/Toast'
import { count } from '@/lib/format'

/**
 * useEach does the same to several things, a few at a time, as the server is not ours alone. It says how many were
 * done, or which of them was not and why. each returns whether all were.
 */
export function useEach<T>(noun: string, nameOf: (x: T) => string) {
  const [busy, setBusy] = useState('')
  const each = async (what: string, all: readonly T[], one: (x: T, key: string) => Promise<unknown>): Promise<boolean> => {
    setBusy(what)
    const failed: string[] = []
    const todo = [...all]
    const work = async () => {
      for (let x = todo.shift(); x; x = todo.shift()) {
        try {
          await one(x, crypto.randomUUID())
        } catch (e) {
          failed.push(`${nameOf(x)}: ${e instanceof ApiError ? e.message : String(e)}`)
        }
      }
    }
    await Promise.all([work(), work(), work(), work()])
    setBusy('')
    if (failed.length > 0) toast(`${failed.length} of ${all.length} were not ${what}: ${failed[0]}`, 'failed')
    else toast(`${count(all.length, noun)} ${what}`)
    return failed.length === 0
  }
  return { busy, each }
}
