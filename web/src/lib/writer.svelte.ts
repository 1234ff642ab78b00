import { announce } from './announcer.svelte'
import { api, Refused } from './api'
import { draft } from './draft.svelte'
import { pause } from './pause'
import { server } from './server.svelte'

const RETRY_S = 2

/** The prompt writer at work in the prompt bar. */
class Writer {
  writing = $state(false)
  note = $state('')
  #stop: AbortController | null = null
  #given = '' // what the person had typed before the writer's last words
  #written = '' // what stood there when the writer ended

  /**
   * Continue what is typed, piece by piece; true when it came to its end.
   * Its own untouched words are not continued but replaced: asking again means another prompt.
   */
  async write(): Promise<boolean> {
    this.stop()
    const stop = (this.#stop = new AbortController())
    if (draft.prompt !== this.#written) this.#given = draft.prompt
    draft.prompt = this.#given
    delete draft.errors['prompt']
    this.writing = true
    this.note = ''
    try {
      while (!(await this.#attempt(stop.signal)));
      announce(`The prompt is written: ${draft.prompt}`)
      return true
    } catch (error) {
      if (!stop.signal.aborted) this.#fail(error)
      return false
    } finally {
      if (this.#stop === stop) {
        this.#written = draft.prompt
        this.writing = false
        this.note = ''
      }
    }
  }

  stop(): void {
    this.#stop?.abort()
    if (this.writing) this.#written = draft.prompt
    this.writing = false
  }

  async #attempt(signal: AbortSignal): Promise<boolean> {
    draft.prompt = this.#given
    try {
      for await (const event of api.write({ text: this.#given, model: draft.overrides.model ?? null }, signal)) {
        signal.throwIfAborted()
        this.note = ''
        if (event.name === 'token') draft.prompt += event.data.text
        else if (event.name === 'done') draft.prompt = event.data.text
        else throw new Refused(event.data, null)
      }
      return true
    } catch (error) {
      if (error instanceof Refused && error.passing) {
        this.note = error.message
        await pause(1000 * (error.retryAfterS ?? RETRY_S), signal)
      } else {
        this.note = 'The server is not answering. The writer begins as soon as it does.'
        await server.recovery(error, signal)
      }
      return false
    }
  }

  #fail(error: unknown): void {
    if (!(error instanceof Refused)) throw error
    draft.errors['prompt'] = error.message
    announce(error.message)
  }
}

export const writer = new Writer()
