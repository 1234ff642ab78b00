/** A stretch of a prompt; `unknown` when the model was never taught that word. */
export interface Stretch {
  text: string
  unknown: boolean
}

const WORD = /\p{L}[\p{L}\p{M}'’-]*/gu

/** The prompt cut at the words that are not in `known`. Joined again, it is the prompt. */
export function stretches(prompt: string, known: ReadonlySet<string>): Stretch[] {
  const cut: Stretch[] = []
  let end = 0
  for (const match of prompt.matchAll(WORD)) {
    if (known.size === 0 || known.has(match[0].toLowerCase())) continue
    if (match.index > end) cut.push({ text: prompt.slice(end, match.index), unknown: false })
    cut.push({ text: match[0], unknown: true })
    end = match.index + match[0].length
  }
  cut.push({ text: prompt.slice(end), unknown: false })
  return cut
}

/** The known word that a slip of the finger away from `word` gives, if there is one. */
export function nearest(word: string, known: Iterable<string>): string | null {
  let best: string | null = null
  let least = word.length > 4 ? 3 : 2 // one or two letters off is a slip; more is another word
  for (const other of known) {
    const distance = editDistance(word.toLowerCase(), other)
    if (distance < least) [best, least] = [other, distance]
  }
  return best
}

/** Levenshtein's distance: insertions, deletions and replacements of letters. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
