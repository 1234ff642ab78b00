import { Refused, Unreachable } from './api'
import { server } from './server.svelte'

const RETRY_S = 3 // where the server does not say

/** Resolves after `ms`; rejects at once when `signal` aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const stop = () => {
      clearTimeout(timer)
      reject(signal.reason as Error)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal.addEventListener('abort', stop, { once: true })
  })
}

/**
 * Tries until it works: again when the server says that later is better, when it is back after being away, and when
 * a key that it asked for was entered.
 * `tell` hears why it waits. Raises every other refusal, and when aborted.
 */
export async function patiently<T>(
  attempt: () => Promise<T>,
  signal: AbortSignal,
  tell: (why: string) => void = () => {},
): Promise<T> {
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (error instanceof Refused && error.passing) {
        tell(error.message)
        await pause(1000 * (error.retryAfterS ?? RETRY_S), signal)
      } else if (error instanceof Unreachable) {
        tell('The server is not answering; this is asked for again as soon as it does.')
        await server.recovery(signal)
      } else if (error instanceof Refused && error.needsKey) {
        tell('This server asks for a key; what you asked for waits until you enter it.')
        await server.admission(signal)
      } else throw error
    }
  }
}
