/** Copy `text`; also on plain http, where browsers withhold their clipboard object. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copySelected(text)
  }
}

function copySelected(text: string): boolean {
  const field = document.createElement('textarea')
  field.value = text
  field.className = 'visually-hidden'
  const open = document.querySelector('dialog[open]') ?? document.body // outside of a dialog nothing can be selected
  open.append(field)
  field.select()
  const copied = document.execCommand('copy')
  field.remove()
  return copied
}
