import type { Option } from '@/views/form/model'

/** useOptions returns the live choices of an entry's fields; the schema's own where there are none. */
export function useOptions(_entry: string, _params: Record<string, unknown>): Record<string, readonly Option[] | 'loading'> {
  return none
}
const none = {}
