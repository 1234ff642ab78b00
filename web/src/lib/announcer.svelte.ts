/** What a screen reader is told next, politely. */
export const announcer = $state({ text: '' })

export function announce(text: string): void {
  announcer.text = text
}
