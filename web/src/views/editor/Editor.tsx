import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  type CompletionContext,
  type CompletionResult,
} from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands'
import { yaml } from '@codemirror/lang-yaml'
import { bracketMatching, foldGutter, foldKeymap, indentOnInput, indentUnit } from '@codemirror/language'
import { lintGutter, lintKeymap, setDiagnostics, type Diagnostic } from '@codemirror/lint'
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search'
import { Compartment, EditorState, type Extension } from '@codemirror/state'
import { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from '@codemirror/view'
import { useEffect, useRef } from 'react'
import { suggest, type Knowledge } from './complete'
import { marks, type Problem } from './problems'
import { look } from './theme'
import './editor.css'

export interface EditorProps {
  text: string // at first, and whenever it is another than what was last typed
  onText: (text: string) => void
  problems: readonly Problem[]
  knowledge: Knowledge | undefined
  dark: boolean
  readOnly?: boolean
  goTo?: { line: number; column: number; nonce: number } | undefined // a new nonce goes there again
  onSave?: () => void // Ctrl-S
  label: string
}

/**
 * Editor edits YAML. It lives in a shadow tree: there CodeMirror keeps its styles in constructed style sheets,
 * which a content security policy without 'unsafe-inline' allows. It is the default export so that a page can
 * load it when it is needed.
 */
export default function Editor(p: EditorProps) {
  const host = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(null)
  const last = useRef(p.text)
  const latest = useRef(p)
  const parts = useRef({ look: new Compartment(), only: new Compartment() })
  useEffect(() => {
    latest.current = p
  })

  useEffect(() => {
    const root = host.current!.shadowRoot ?? host.current!.attachShadow({ mode: 'open' })
    const { look: lookPart, only } = parts.current
    const v = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: latest.current.text,
        extensions: [
          basics(latest),
          lookPart.of(look(latest.current.dark)),
          only.of(EditorState.readOnly.of(latest.current.readOnly === true)),
          EditorView.contentAttributes.of({ 'aria-label': latest.current.label, tabindex: '0' }),
          EditorView.updateListener.of((u) => {
            if (!u.docChanged) return
            last.current = u.state.doc.toString()
            latest.current.onText(last.current)
          }),
        ],
      }),
    })
    view.current = v
    return () => {
      v.destroy()
      view.current = null
    }
  }, [])

  useEffect(() => {
    const v = view.current
    if (!v || p.text === last.current) return
    last.current = p.text
    v.dispatch({ changes: { from: 0, to: v.state.doc.length, insert: p.text } })
  }, [p.text])
  useEffect(() => view.current?.dispatch({ effects: parts.current.look.reconfigure(look(p.dark)) }), [p.dark])
  useEffect(() => view.current?.dispatch({ effects: parts.current.only.reconfigure(EditorState.readOnly.of(p.readOnly === true)) }), [p.readOnly])
  useEffect(() => {
    const v = view.current
    if (v) v.dispatch(setDiagnostics(v.state, diagnostics(v.state.doc.toString(), p.problems)))
  }, [p.problems])
  useEffect(() => {
    const v = view.current,
      to = p.goTo
    if (!v || !to) return
    const line = v.state.doc.line(Math.min(Math.max(1, to.line), v.state.doc.lines))
    const at = Math.min(line.from + Math.max(0, to.column - 1), line.to)
    v.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: 'center' }) })
    v.focus()
  }, [p.goTo])
  return <div ref={host} className="editor" />
}

function diagnostics(text: string, problems: readonly Problem[]): Diagnostic[] {
  return marks(text, problems).map((m) => ({
    from: m.from,
    to: m.to,
    severity: 'error',
    message: m.problem.message + (m.problem.hint ? '\n' + m.problem.hint : ''),
  }))
}

function basics(latest: { current: EditorProps }): Extension {
  return [
    lineNumbers(),
    foldGutter(),
    lintGutter(),
    history(),
    drawSelection(),
    indentOnInput(),
    indentUnit.of('  '),
    bracketMatching(),
    closeBrackets(),
    highlightActiveLine(),
    highlightActiveLineGutter(),
    highlightSelectionMatches(),
    search({ top: true }),
    yaml(),
    EditorState.tabSize.of(2),
    autocompletion({ override: [(c) => complete(c, latest.current.knowledge)], icons: false }),
    keymap.of([
      {
        key: 'Mod-s',
        run: () => {
          latest.current.onSave?.()
          return true
        },
      },
      // Tab indents; Esc then Tab leaves, as for everybody who has only a keyboard.
      ...closeBracketsKeymap,
      ...completionKeymap,
      ...lintKeymap,
      ...searchKeymap,
      ...foldKeymap,
      ...historyKeymap,
      ...defaultKeymap,
      indentWithTab,
    ]),
  ]
}

function complete(c: CompletionContext, k: Knowledge | undefined): CompletionResult | null {
  const found = k && suggest(c.state.doc.toString(), c.pos, k)
  if (!found || (!c.explicit && found.from === c.pos && !/[.\s]$/.test(c.state.sliceDoc(Math.max(0, c.pos - 1), c.pos)))) return null
  return {
    from: found.from,
    validFor: /^[\w:.-]*$/,
    options: found.options.map((o) => ({
      label: o.label,
      apply: o.insert,
      type: o.kind,
      boost: o.first ? 1 : 0,
      ...(o.detail ? { detail: o.detail } : {}),
      ...(o.info ? { info: o.info } : {}),
    })),
  }
}
