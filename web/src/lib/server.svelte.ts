import { api, type Capabilities, type Ready, type Session } from './api'

const STEADY_MS = 10_000 // where the server does not say
const WAITING_MS = 1_000
const LOOKS = 60 // so many times it is looked again soon; then no more often than when all is well

/** The server as this page sees it: whether it answers, what it can do, whether it can paint now. */
class Server {
  capabilities = $state.raw<Capabilities | null>(null)
  ready = $state.raw<Ready | null>(null)
  reachable = $state(true)
  session = $state.raw<Session | null>(null)
  asksForKey = $state(false)
  #timer: ReturnType<typeof setTimeout> | undefined
  #waiting: (() => void)[] = []
  #locked: (() => void)[] = []
  #stale = true
  #looks = LOOKS

  /** Look now, and again and again: often while something is missing, seldom while all is well. */
  async watch(): Promise<void> {
    clearTimeout(this.#timer)
    try {
      this.ready = await api.ready()
      if (this.#stale) {
        this.capabilities = await api.capabilities()
        this.#take(await api.session())
      }
      this.#stale = false
      this.reachable = true
      for (const go of this.#waiting.splice(0)) go()
    } catch {
      this.reachable = false
      this.#stale = true // another server may come up in its place
    }
    clearTimeout(this.#timer)
    this.#looks = this.reachable && this.ready?.ready ? LOOKS : this.#looks - 1
    const soon = this.#looks >= 0 && this.#looks < LOOKS
    this.#timer = setTimeout(() => void this.watch(), soon ? WAITING_MS : this.#steadyMs)
  }

  /** A page that nobody sees looks no further, until somebody does. */
  seen(visible: boolean): void {
    if (visible) void this.watch()
    else if (this.ready?.ready && this.reachable) clearTimeout(this.#timer)
  }

  get #steadyMs(): number {
    const { poll_s = STEADY_MS / 1000 } = this.capabilities?.limits ?? {}
    return 1000 * poll_s
  }

  /** Resolves when the server, which did not answer, does so again. Raises when aborted. */
  async recovery(signal: AbortSignal): Promise<void> {
    const answered = turn(this.#waiting, signal)
    this.#stale = true
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.watch(), WAITING_MS / 4)
    await answered
  }

  /** Resolves when a key was entered, for which this asks. Raises when aborted. */
  async admission(signal: AbortSignal): Promise<void> {
    const entered = turn(this.#locked, signal)
    this.asksForKey = true
    await entered
  }

  /** Raises `Refused` when it is no key of this server. */
  async enter(key: string): Promise<void> {
    this.#take(await api.enter(key))
  }

  #take(session: Session): void {
    this.session = session
    this.asksForKey = session.kind === 'stranger'
    if (!this.asksForKey) for (const go of this.#locked.splice(0)) go()
  }
}

/** Resolves when whoever keeps `queue` calls it; rejects when `signal` aborts. */
function turn(queue: (() => void)[], signal: AbortSignal): Promise<void> {
  return new Promise((go, reject) => {
    signal.throwIfAborted()
    queue.push(go)
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}

export const server = new Server()
