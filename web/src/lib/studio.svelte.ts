import { announce } from './announcer.svelte'
import { api, Refused, type GenerationSubmission, type Image } from './api'
import { draft } from './draft.svelte'
import { Painting } from './painting.svelte'
import { patiently } from './patience'

/** A finished picture and the painting it came from. */
export interface Picture {
  painting: Painting
  image: Image
}

const PAGE = 24
const STREAMS = 2 // a browser opens six connections to a server, for all of its tabs together
const never = new AbortController().signal

/** All paintings of this person that the page knows, newest first. */
class Studio {
  paintings = $state<Painting[]>([])
  current = $state<Painting | null>(null)
  nextCursor = $state<string | null>(null)
  #following = new Set<Painting>()

  /** Every finished picture, newest first. */
  get pictures(): Picture[] {
    return this.paintings.flatMap((painting) => painting.images.map((image) => ({ painting, image })))
  }

  /** Paintings under way that are not on the easel. */
  get underWay(): Painting[] {
    return this.paintings.filter((painting) => painting.active && painting !== this.current)
  }

  /** The person's record, from its newest entry; what is under way is followed again. */
  async open(): Promise<void> {
    await patiently(() => this.more(), never)
    this.current ??= this.paintings.find((painting) => painting.active) ?? null
  }

  /** The next page of the record. */
  async more(): Promise<void> {
    const page = await api.generations(PAGE, this.nextCursor)
    const known = new Set(this.paintings.map((painting) => painting.id))
    this.nextCursor = page.next_cursor
    this.paintings.push(...page.items.filter((item) => !known.has(item.id)).map(Painting.of))
    this.#follow()
  }

  /** Put a new painting on the easel and see it through. A refusal goes beside its field. */
  async paint(submission: GenerationSubmission): Promise<void> {
    const before = this.current
    const painting = new Painting(submission)
    this.paintings.unshift(painting)
    this.current = painting
    draft.errors = {}
    try {
      await painting.ask()
      this.#follow()
    } catch (error) {
      this.#drop(painting)
      if (this.current === painting) this.current = before
      if (error instanceof Refused) this.#refuse(error)
      else if (!painting.cancelling) throw error
    }
  }

  #refuse(error: Refused): void {
    draft.refuse(error.problem)
    announce(Object.values(draft.errors).join(' '))
  }

  #drop(painting: Painting): void {
    this.paintings = this.paintings.filter((other) => other !== painting)
  }

  /** Follow those nearest to their turn; the others when these have ended. */
  #follow(): void {
    const waiting = this.paintings.filter((p) => p.active && p.id && !this.#following.has(p)).reverse()
    for (const painting of waiting.slice(0, STREAMS - this.#following.size)) {
      this.#following.add(painting)
      void painting
        .follow()
        .catch((error: unknown) => this.#lost(painting, error))
        .finally(() => {
          this.#following.delete(painting)
          this.#follow()
        })
    }
  }

  /** The record knows it no longer, or it was taken away here. */
  #lost(painting: Painting, error: unknown): void {
    if (!(error instanceof Refused) && !(error instanceof DOMException)) throw error
    this.#drop(painting)
    if (this.current === painting) this.current = null
  }

  /** Take a painting off the page; the answer puts it back where it was. */
  hide(painting: Painting): () => void {
    const at = this.paintings.indexOf(painting)
    const onEasel = this.current === painting
    this.#drop(painting)
    if (onEasel) this.current = null
    return () => {
      this.paintings.splice(at, 0, painting)
      if (onEasel) this.current = painting
    }
  }
}

export const studio = new Studio()
