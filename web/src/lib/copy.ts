import { toast } from '@/kit/Toast'

/** copy puts text into the clipboard and says so. */
export async function copy(text: string, what = 'Copied'): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    // Without TLS there is no clipboard API, but on loopback: the old way works everywhere.
    const t = document.createElement('textarea')
    t.value = text
    t.className = 'vh'
    document.body.append(t)
    t.select()
    document.execCommand('copy')
    t.remove()
  }
  toast(what)
}

/** save gives the person a text as a file. */
export function save(text: string, name: string, type = 'text/plain'): void {
  const url = URL.createObjectURL(new Blob([text], { type }))
  const a = document.createElement('a')
  a.href = url
  a.download = name
  a.click()
  setTimeout(() => URL.revokeObjectURL(url), 1000)
}
