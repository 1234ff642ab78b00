import { announce } from './announcer.svelte'
import { api, Refused } from './api'
import { draft } from './draft.svelte'
import { patiently, pause } from './patience'

const PACE_MS = 30 // a small writer is done before the eye has seen it write, and before a hand could stop it

/** The prompt writer at work in the prompt bar. */
class Writer {
  writing = $state(false)
  note = $state('')
  #stop: AbortController | null = null
  #given = '' // what the person had typed before the writer's last words
  #written = '' // what the writer left there; when something else stands there, a person changed it

  /**
   * Continue what is typed, piece by piece; true when it came to its end.
   * Its own untouched words are not continued but replaced: asking again means another prompt.
   */
  async write(): Promise<boolean> {
    this.stop()
    const stop = (this.#stop = new AbortController())
    if (draft.prompt !== this.#written) this.#given = draft.prompt
    delete draft.errors['prompt']
    this.writing = true
    this.note = ''
    try {
      await patiently(() => this.#attempt(stop.signal), stop.signal, (why) => (this.note = why))
      announce(`The prompt is written: ${draft.prompt}`)
      return true
    } catch (error) {
      if (!stop.signal.aborted) this.#fail(error)
      return false
    } finally {
      if (this.#stop === stop) {
        this.writing = false
        this.note = ''
      }
    }
  }

  stop(): void {
    this.#stop?.abort()
    this.writing = false
  }

  async #attempt(signal: AbortSignal): Promise<void> {
    this.#put(this.#given)
    const request = { text: this.#given, model: draft.overrides.model ?? null }
    for await (const event of api.write(request, signal)) {
      signal.throwIfAborted()
      this.note = ''
      if (event.name === 'token') {
        this.#put(draft.prompt + event.data.text)
        await pause(PACE_MS, signal)
      } else if (event.name === 'done') this.#put(event.data.text)
      else throw new Refused(event.data, null)
    }
  }

  #put(text: string): void {
    draft.prompt = this.#written = text
  }

  #fail(error: unknown): void {
    if (!(error instanceof Refused)) throw error
    draft.errors['prompt'] = error.message
    announce(error.message)
  }
}

export const writer = new Writer()
