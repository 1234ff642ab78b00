import { announce } from './announcer.svelte'
import { api, Refused } from './api'
import type { Painting } from './painting.svelte'
import { studio } from './studio.svelte'

const GRACE_MS = 8_000

/** The last deletion, which can be taken back for a while before the server hears of it. */
class Removal {
  text = $state('')
  #painting: Painting | null = null
  #restore: (() => void) | null = null
  #timer: ReturnType<typeof setTimeout> | undefined

  start(painting: Painting): void {
    this.finish()
    const count = painting.images.length
    this.#painting = painting
    this.#restore = studio.hide(painting)
    this.text = count > 1 ? `${count} pictures deleted.` : 'Picture deleted.'
    announce(`${this.text} You can undo this.`)
    this.resume()
  }

  undo(): void {
    this.#restore?.()
    announce('Deletion undone.')
    this.#clear()
  }

  /** Keep the offer while someone is about to take it. */
  hold(): void {
    clearTimeout(this.#timer)
  }

  resume(): void {
    clearTimeout(this.#timer)
    if (this.#painting) this.#timer = setTimeout(() => this.finish(), GRACE_MS)
  }

  /** Tell the server. `leaving`: the page is about to close. */
  finish(leaving = false): void {
    const [painting, restore] = [this.#painting, this.#restore]
    this.#clear()
    if (!painting?.id) return
    api.remove(painting.id, leaving).catch((error: unknown) => {
      if (error instanceof Refused && error.problem.status === 404) return
      restore?.()
      announce('The picture could not be deleted.')
    })
  }

  #clear(): void {
    clearTimeout(this.#timer)
    this.#painting = this.#restore = null
    this.text = ''
  }
}

export const removal = new Removal()
