import { TracePage } from './TracePage'

/** RunPage is /runs/:id. */
export default function RunPage({ id = '' }: Record<string, string>) {
  return <TracePage key={id} id={id} kind="run" />
}
