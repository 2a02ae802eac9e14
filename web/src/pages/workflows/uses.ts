/** usesOf says how a document uses a definition: "calls it in build, check"; undefined where it does not. */
export function usesOf(document: unknown, kind: string, name: string): string | undefined {
  if (typeof document !== 'object' || document === null) return undefined
  const d = document as Record<string, unknown>
  if (kind === 'ResourceType') return d.kind === 'Preset' && d.of === name ? 'is a preset of it' : undefined
  if (kind === 'Workflow' && d.kind === 'ResourceType' && d.workflow === name) return 'is built by it'
  const use = kind === 'Workflow' ? `workflow:${name}` : kind === 'TaskType' ? name : undefined
  if (!use) return undefined
  const at = [...calls(d.tasks, ''), ...calls(d.finally, 'finally.')].filter(([, u]) => u === use).map(([path]) => path)
  return at.length > 0 ? `calls it in ${at.slice(0, 5).join(', ')}${at.length > 5 ? ` and ${at.length - 5} more` : ''}` : undefined
}

/** calls lists the tasks of a map of tasks with what they use, those inside groups too. */
function calls(tasks: unknown, before: string): [string, string][] {
  if (typeof tasks !== 'object' || tasks === null) return []
  return Object.entries(tasks as Record<string, Record<string, unknown> | null>).flatMap(([id, t]): [string, string][] => {
    if (typeof t !== 'object' || t === null) return []
    const undo = (t.undo as { use?: unknown } | undefined)?.use
    return [
      ...(typeof t.use === 'string' ? [[before + id, t.use] as [string, string]] : []),
      ...(typeof undo === 'string' ? [[`${before}${id} (undo)`, undo] as [string, string]] : []),
      ...calls(t.tasks, `${before}${id}.`),
    ]
  })
}
