import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

const server = process.env['LIMNER_URL'] ?? 'http://127.0.0.1:7860'
const packageFile = (name) => readFileSync(new URL(`node_modules/${name}`, import.meta.url))

/** Of a page that lies elsewhere: the address of its server's API, such as https://art.example.org/limner. */
const api = process.env['VITE_LIMNER_API']?.replace(/\/+$/, '') ?? ''

/** Tells the page where its server is, and the browser that it may call no other. */
function elsewhere() {
  if (!/^https?:\/\/[^\s"'<>;,]+$/.test(api))
    throw new Error(`VITE_LIMNER_API=${api} is no address; begin it with https://`)
  const { origin } = new URL(api)
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    `img-src 'self' data: blob: ${origin}`,
    "font-src 'self'",
    `connect-src ${origin}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
  const meta = (attrs) => ({ tag: 'meta', attrs, injectTo: 'head-prepend' })
  return {
    name: 'elsewhere',
    transformIndexHtml: () => [
      meta({ 'http-equiv': 'Content-Security-Policy', content: policy }),
      meta({ name: 'limner-api', content: api }),
    ],
  }
}

/** What the page is not made of but ships with: the API reference's assets and the licences of all of it. */
function shipped() {
  const reference = ['swagger-ui-bundle.js', 'swagger-ui.css']
  const licences = [
    '@fontsource-variable/eb-garamond/LICENSE',
    'svelte/LICENSE.md',
    'swagger-ui-dist/NOTICE',
    'swagger-ui-dist/LICENSE',
    'swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt',
  ]
  return {
    name: 'shipped',
    apply: 'build',
    generateBundle() {
      for (const name of api ? [] : reference)
        this.emitFile({ type: 'asset', fileName: `docs/${name}`, source: packageFile(`swagger-ui-dist/${name}`) })
      const texts = licences.map((name) => `${name}\n\n${packageFile(name).toString().trim()}\n`)
      this.emitFile({ type: 'asset', fileName: 'licences.txt', source: texts.join(`\n${'-'.repeat(72)}\n\n`) })
    },
  }
}

export default defineConfig({
  base: './', // the page also works below a path, behind a proxy
  plugins: [svelte(), shipped(), ...(api ? [elsewhere()] : [])],
  build: {
    outDir: fileURLToPath(new URL(api ? '../dist/website' : '../src/limner/static', import.meta.url)),
    emptyOutDir: true,
    assetsInlineLimit: 0, // font-src 'self' has no data:
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 300,
  },
  server: {
    proxy: Object.fromEntries(
      ['/api', '/readyz', '/healthz', '/docs', '/openapi.json'].map((path) => [
        path,
        { target: server, changeOrigin: true, headers: { origin: server } },
      ]),
    ),
  },
})
