import { api, type Capabilities, type Ready } from './api'

const STEADY_MS = 10_000
const WAITING_MS = 1_000

/** The server as this page sees it: whether it answers, what it can do, whether it can paint now. */
class Server {
  capabilities = $state.raw<Capabilities | null>(null)
  ready = $state.raw<Ready | null>(null)
  reachable = $state(true)
  #timer: ReturnType<typeof setTimeout> | undefined
  #waiting: (() => void)[] = []
  #stale = true

  /** Look now, and again and again: often while something is missing, seldom while all is well. */
  async watch(): Promise<void> {
    clearTimeout(this.#timer)
    try {
      this.ready = await api.ready()
      if (this.#stale) this.capabilities = await api.capabilities()
      this.#stale = false
      this.reachable = true
      for (const go of this.#waiting.splice(0)) go()
    } catch {
      this.reachable = false
      this.#stale = true // another server may come up in its place
    }
    clearTimeout(this.#timer)
    const steady = this.reachable && this.ready?.ready
    this.#timer = setTimeout(() => void this.watch(), steady ? STEADY_MS : WAITING_MS)
  }

  /** Resolves when the server, which did not answer, does so again. Raises when aborted. */
  async recovery(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const answered = new Promise<void>((go) => this.#waiting.push(go))
    const aborted = new Promise<never>((_, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
    )
    this.#stale = true
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.watch(), WAITING_MS / 4)
    await Promise.race([answered, aborted])
  }
}

export const server = new Server()
