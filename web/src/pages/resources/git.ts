/** homeOf returns the repository and the newest commit that the rows of a trace tell of. */
export function homeOf(rows: readonly { kind: string; repository?: string; commit?: string }[]): { repository: string; commit: string } | undefined {
  const row = rows.findLast((r) => r.repository && r.commit)
  return row ? { repository: row.repository!, commit: row.commit! } : undefined
}

/**
 * pathOf returns what of a commit's files is about a resource: the file or folder that has its name, else the
 * only file there is.
 */
export function pathOf(files: readonly string[], name: string): string {
  for (const f of files) {
    const parts = f.split('/')
    const i = parts.findIndex((p) => p === name || p.replace(/\.[^.]*$/, '') === name)
    if (i >= 0) return parts.slice(0, i + 1).join('/')
  }
  return files.length === 1 ? files[0]! : ''
}
