import { HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import type { Extension } from '@codemirror/state'
import { EditorView } from '@codemirror/view'
import { tags as t } from '@lezer/highlight'

/** look is how the editor looks. Custom properties reach into its shadow tree, so the page's theme is its theme. */
export function look(dark: boolean): Extension {
  const c = dark
    ? { key: '#74c0fc', text: '#8ce99a', number: '#ffa94d', atom: '#da77f2', comment: '#9aa0a6', mark: '#c0c6cc' }
    : { key: '#1864ab', text: '#1f6b31', number: '#a34f00', atom: '#862e9c', comment: '#5c636a', mark: '#495057' }
  const style = HighlightStyle.define([
    { tag: [t.definition(t.propertyName), t.propertyName], color: c.key },
    { tag: [t.string, t.special(t.string), t.content], color: c.text },
    { tag: t.number, color: c.number },
    { tag: [t.bool, t.null, t.keyword, t.typeName, t.labelName], color: c.atom },
    { tag: [t.comment, t.lineComment], color: c.comment },
    { tag: [t.meta, t.punctuation, t.separator, t.squareBracket, t.brace], color: c.mark },
  ])
  return [theme, EditorView.theme({}, { dark }), syntaxHighlighting(style)]
}

// The lint package draws its marks with data: pictures, which the policy forbids; these are drawn with text and
// lines instead, and so no picture is ever asked for.
const noPicture = { backgroundImage: 'none !important' }
const sign = (glyph: string, colour: string) => ({ content: 'normal !important', color: colour, '&:before': { content: `"${glyph}"` } })

const theme = EditorView.theme({
  '&': { height: '100%', fontSize: '12px', color: 'var(--ink)', backgroundColor: 'var(--panel)' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-2px' },
  '.cm-scroller': { fontFamily: "ui-monospace, 'DejaVu Sans Mono', monospace", lineHeight: '18px' },
  '.cm-content': { caretColor: 'var(--ink)', padding: '8px 0' },
  '.cm-cursor, .cm-dropCursor': { borderLeftColor: 'var(--ink)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground, ::selection': {
    backgroundColor: 'color-mix(in srgb, var(--accent) 26%, transparent) !important',
  },
  '.cm-activeLine': { backgroundColor: 'color-mix(in srgb, var(--accent) 7%, transparent)' },
  '.cm-gutters': { backgroundColor: 'var(--panel)', color: 'var(--dim)', border: '0', borderRight: '1px solid var(--line)' },
  '.cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--accent) 10%, transparent)', color: 'var(--ink)' },
  '.cm-lintRange': { ...noPicture, paddingBottom: '0' },
  '.cm-lintRange-error': { textDecoration: 'underline wavy var(--s-failed)', textDecorationSkipInk: 'none', textUnderlineOffset: '3px' },
  '.cm-lintRange-warning': { textDecoration: 'underline wavy var(--s-waiting)' },
  '.cm-lint-marker': { width: '1em', height: '18px', fontSize: '11px', lineHeight: '18px', textAlign: 'center' },
  '.cm-lint-marker-error': sign('✕', 'var(--s-failed)'),
  '.cm-lint-marker-warning': sign('!', 'var(--s-waiting)'),
  '.cm-lint-marker-info': sign('i', 'var(--accent)'),
  '.cm-tooltip': {
    backgroundColor: 'var(--panel)',
    color: 'var(--ink)',
    border: '1px solid var(--line)',
    borderRadius: '4px',
    fontFamily: 'inherit',
  },
  '.cm-diagnostic': { whiteSpace: 'pre-wrap', maxWidth: '52ch', font: '13px/1.45 system-ui, sans-serif' },
  '.cm-diagnostic-error': { borderLeftColor: 'var(--s-failed)' },
  '.cm-tooltip-autocomplete ul li': { padding: '2px 8px !important', lineHeight: '20px' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent) !important', color: 'var(--on-accent, #fff) !important' },
  '.cm-completionDetail': { color: 'inherit', fontStyle: 'normal', opacity: '1', marginLeft: '1em' },
  '.cm-completionInfo': { maxWidth: '44ch', font: '13px/1.45 system-ui, sans-serif', padding: '8px' },
  '.cm-panels': { backgroundColor: 'var(--panel)', color: 'var(--ink)', borderColor: 'var(--line) !important' },
  '.cm-panel.cm-search': { padding: '6px 8px' },
  '.cm-textfield': { backgroundColor: 'var(--bg)', border: '1px solid var(--line)', borderRadius: '4px', color: 'var(--ink)', padding: '3px 6px' },
  '.cm-button': {
    ...noPicture,
    backgroundColor: 'var(--panel)',
    border: '1px solid var(--line)',
    borderRadius: '4px',
    color: 'var(--ink)',
    padding: '3px 8px',
  },
  '.cm-searchMatch': { backgroundColor: '#ffe06666' },
  '.cm-matchingBracket': { backgroundColor: 'color-mix(in srgb, var(--accent) 20%, transparent) !important' },
  '.cm-foldPlaceholder': { backgroundColor: 'var(--bg)', border: '1px solid var(--line)', color: 'var(--dim)' },
})
