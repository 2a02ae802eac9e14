import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

const root = import.meta.dirname

// sources lists what the build is made from, as web_test.go does. schema.ts is left out: it is types
// alone, which leave no trace in what is built.
function sources(): string[] {
  const found = ['.npmrc', 'index.html', 'package.json', 'package-lock.json', 'tsconfig.json', 'vite.config.ts']
  for (const e of readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })) {
    if (e.isFile()) found.push(join(e.parentPath, e.name).slice(root.length + 1).replaceAll('\\', '/'))
  }
  return found.filter((f) => f !== 'src/api/schema.ts').sort((a, b) => (a < b ? -1 : 1))
}

function hashOfSources(): string {
  const all = createHash('sha256')
  for (const f of sources()) {
    all.update(`${f}\0${createHash('sha256').update(readFileSync(join(root, f))).digest('hex')}\n`)
  }
  return all.digest('hex')
}

// pages returns the first elements of the paths in src/pages.ts: what the server answers with the page.
function pages(): string[] {
  const text = readFileSync(join(root, 'src/pages.ts'), 'utf8')
  const paths = [...text.matchAll(/\bpath: '(\/[^'/]*)/g)].map((m) => m[1]!)
  return [...new Set(paths)].sort()
}

// finish adds what the browser needs before the first paint, build.json, and a compressed file beside
// each that is worth it.
function finish(): Plugin {
  return {
    name: 'finish',
    apply: 'build',
    transformIndexHtml: {
      order: 'post',
      handler(html, ctx) {
        const theme = Object.keys(ctx.bundle ?? {}).find((f) => f.startsWith('assets/theme-'))
        if (!theme) throw new Error('the bundle has no theme script')
        return html.replace('<script type="module"', `<script src="/${theme}"></script>\n<script type="module"`)
      },
    },
    buildStart() {
      const text = readFileSync(join(root, 'src/theme.js'), 'utf8')
      const name = `theme-${createHash('sha256').update(text).digest('hex').slice(0, 8)}.js`
      this.emitFile({ type: 'asset', fileName: `assets/${name}`, source: text })
    },
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        this.emitFile({
          type: 'asset',
          fileName: 'build.json',
          source: JSON.stringify({ sources: hashOfSources(), pages: pages() }, null, 1) + '\n',
        })
        for (const [name, f] of Object.entries(bundle)) {
          const raw = Buffer.from(f.type === 'chunk' ? f.code : f.source)
          if (raw.length < 1000) continue
          // The tenth byte names the operating system that compressed: fixed, so that all build the same.
          const packed = gzipSync(raw, { level: 9 })
          packed[9] = 255
          if (packed.length >= raw.length * 0.9) continue
          this.emitFile({ type: 'asset', fileName: `${name}.gz`, source: packed })
          delete bundle[name] // the server unpacks it for the few that do not take it packed
        }
      },
    },
  }
}

export default defineConfig({
  root,
  plugins: [react(), finish()],
  resolve: { alias: { '@': join(root, 'src') } },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    // `npm run dev` beside a server: TUTTI_SERVER=http://127.0.0.1:8080 npm run dev
    proxy: { '/v1': { target: process.env.TUTTI_SERVER ?? 'http://127.0.0.1:8080', changeOrigin: true } },
  },
})
