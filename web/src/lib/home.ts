import { storage } from './storage'

const named = document.querySelector<HTMLMetaElement>('meta[name="limner-api"]')?.content ?? ''

/** Whether this page lies on another host than its server; then no cookie of the server's reaches it. */
export const elsewhere = named !== ''

/** The address below which everything of the server lies. */
export const base = elsewhere ? new URL(named.replace(/\/?$/, '/')) : new URL('.', document.baseURI)

let kept = (elsewhere && storage.read<string>('key')) || ''

/** The key that a page elsewhere sends along, kept in this browser. */
export const ownKey = {
  read(): string {
    return kept
  },

  write(key: string): void {
    kept = key
    storage.write('key', key)
  },
}

/** What a page elsewhere says with every request. */
export function credentials(): Record<string, string> {
  if (!elsewhere) return {}
  const key = ownKey.read()
  // ngrok's free plan shows a notice to browsers that do not send the first of these.
  return { 'ngrok-skip-browser-warning': '1', ...(key && { authorization: `Bearer ${key}` }) }
}
