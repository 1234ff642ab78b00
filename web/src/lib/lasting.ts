import { pause } from './patience'
import { server } from './server.svelte'

const ATTEMPTS = 5

/** An image that is fetched again when it could not be had, as when the server was away. */
export function lasting(img: HTMLImageElement): () => void {
  const gone = new AbortController()
  let failures = 0

  async function again(): Promise<void> {
    if (++failures > ATTEMPTS) return
    await server.recovery(gone.signal)
    await pause(2 ** failures * 100, gone.signal)
    const { src } = img
    img.src = src // the same address again is a new request
  }

  img.addEventListener('error', () => void again().catch(() => {}), { signal: gone.signal })
  return () => gone.abort()
}
