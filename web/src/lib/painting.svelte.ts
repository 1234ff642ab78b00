import { announce } from './announcer.svelte'
import { api, type EventOf, type Generation, type GenerationEvents, type GenerationSubmission, type Image } from './api'
import { randomKey } from './identifiers'
import { patiently, pause } from './patience'
import { storage } from './storage'

/** One of a generation's pictures, as far as it is. */
export interface Frame {
  step: number
  steps: number
  etaS: number | null
  preview: string | null
  image: Image | null
}

type Clicks = Record<string, number>
const CLICKS_KEPT = 50
const BREATH_MS = 500

/** One generation from the click to its pictures, followed through lost connections and reloads. */
export class Painting {
  generation = $state.raw<Generation | null>(null)
  frames = $state<Frame[]>([])
  /** Why it waits before the server has taken it; empty when it does not. */
  waiting = $state('')
  cancelling = $state(false)
  /** From the click until all its pictures stood on the page, in seconds; null when that was not seen. */
  seconds = $state<number | null>(null)
  readonly key = randomKey()
  readonly #stop = new AbortController()
  #clickedAt: number | null = null
  #lastEvent = ''
  readonly #shown = new Set<number>()

  constructor(readonly submission: GenerationSubmission) {
    this.frames = blank(submission.num_images ?? 1)
  }

  /** One that the server knows already. */
  static of(generation: Generation): Painting {
    const painting = new Painting(generation.params)
    painting.#clickedAt = clicks()[generation.id] ?? null
    painting.#take(generation)
    return painting
  }

  get id(): string | null {
    return this.generation?.id ?? null
  }

  get prompt(): string {
    return this.generation?.params.prompt ?? this.submission.prompt ?? ''
  }

  get status(): Generation['status'] | 'asking' {
    return this.generation?.status ?? 'asking'
  }

  get active(): boolean {
    return ['asking', 'queued', 'running'].includes(this.status)
  }

  get images(): Image[] {
    return this.frames.flatMap((frame) => frame.image ?? [])
  }

  /** The part of all steps that is done, 0 to 1. */
  get done(): number {
    const parts = this.frames.map((f) => (f.image ? 1 : f.steps ? f.step / f.steps : 0))
    return parts.reduce((sum, part) => sum + part, 0) / parts.length
  }

  get etaS(): number | null {
    const running = this.frames.flatMap((f) => (f.image || f.etaS === null ? [] : f.etaS))
    return running.length ? Math.max(...running) : (this.generation?.eta_s ?? null)
  }

  /** Ask the server for it until it is taken. Raises `Refused` when the request itself is wrong. */
  async ask(): Promise<void> {
    const { signal } = this.#stop
    this.#clickedAt = Date.now()
    const taken = await patiently(
      () => api.generate(this.submission, this.key, signal),
      signal,
      (why) => (this.waiting = why),
    )
    this.waiting = ''
    this.#take(taken)
    rememberClick(taken.id, this.#clickedAt)
  }

  /** Follow its events until it has ended. Raises `Refused` when the record no longer knows it. */
  async follow(): Promise<void> {
    const { signal } = this.#stop
    while (this.active) {
      await patiently(() => this.#listen(signal), signal)
      if (this.active) await pause(BREATH_MS, signal) // the stream was cut where no event ends
    }
  }

  async #listen(signal: AbortSignal): Promise<void> {
    for await (const event of api.events(this.id!, this.#lastEvent, signal)) this.#hear(event)
  }

  async cancel(): Promise<void> {
    this.cancelling = true
    if (this.id) await api.cancel(this.id).catch(() => (this.cancelling = false))
    else this.forget()
  }

  /** Stop following it; the server is not told. */
  forget(): void {
    this.#stop.abort()
  }

  /** Picture `index` stands on the page. */
  shown(index: number): void {
    this.#shown.add(index)
    if (this.#clickedAt === null || this.seconds !== null || this.#shown.size < this.frames.length) return
    this.seconds = (Date.now() - this.#clickedAt) / 1000
    announce(`The picture is ready after ${this.seconds.toFixed(1)} seconds.`)
  }

  #hear(event: EventOf<GenerationEvents>): void {
    if (event.id) this.#lastEvent = event.id
    switch (event.name) {
      case 'queued':
        return this.#amend({ status: 'queued', ...event.data })
      case 'started':
        announce('Painting has begun.')
        return this.#amend({ status: 'running', position: null, eta_s: null })
      case 'progress':
        return this.#progress(event.data)
      case 'preview':
        return this.#frame(event.data.index, { preview: event.data.image })
      case 'image':
        return this.#frame(event.data.index, { image: event.data })
      case 'cancelled':
        announce('Cancelled.')
        return this.#take(event.data)
      case 'failed':
        announce('The picture could not be painted.')
        return this.#take(event.data)
      default:
        return this.#take(event.data)
    }
  }

  #progress({ index, step, steps, eta_s }: GenerationEvents['progress']): void {
    const before = this.done
    this.#frame(index, { step, steps, etaS: eta_s })
    if (before < 0.5 && this.done >= 0.5) announce('Half of the steps are done.')
    if (this.status === 'queued') this.#amend({ status: 'running', position: null })
  }

  #frame(index: number, part: Partial<Frame>): void {
    const frame = this.frames[index]
    if (frame) Object.assign(frame, part)
  }

  #amend(part: Partial<Generation>): void {
    if (this.generation) this.generation = { ...this.generation, ...part }
  }

  #take(generation: Generation): void {
    if (generation.params.num_images !== this.frames.length) this.frames = blank(generation.params.num_images)
    this.generation = generation
    for (const image of generation.images) this.#frame(image.index, { image })
  }
}

function blank(count: number): Frame[] {
  return Array.from({ length: count }, () => ({ step: 0, steps: 0, etaS: null, preview: null, image: null }))
}

function clicks(): Clicks {
  return storage.read<Clicks>('clicks') ?? {}
}

function rememberClick(id: string, at: number): void {
  const kept = Object.entries(clicks()).slice(1 - CLICKS_KEPT)
  storage.write('clicks', Object.fromEntries([...kept, [id, at]]))
}
