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
