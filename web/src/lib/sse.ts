/** One server-sent event. */
export interface ServerEvent {
  id: string
  name: string
  data: string
}

/** Nothing was heard for longer than the server's heartbeat allows. */
export class Silence extends Error {}

const LINE_END = /\r\n|\n|\r(?=[^\n])/ // a lone CR at the end may be half of a CRLF

/** The events of a `text/event-stream` body; throws `Silence` after `silenceMs` without a byte. */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  silenceMs: number,
): AsyncGenerator<ServerEvent> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  let event: ServerEvent = { id: '', name: '', data: '' }
  try {
    for (;;) {
      const { value, done } = await within(silenceMs, reader.read())
      if (done) return
      const lines = (rest + decoder.decode(value, { stream: true })).split(LINE_END)
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line !== '') read(line, event)
        else if (event.data !== '') {
          yield { ...event, name: event.name || 'message', data: event.data.slice(1) }
          event = { id: event.id, name: '', data: '' }
        }
      }
    }
  } finally {
    await reader.cancel().catch(() => {}) // closes the connection, which is how the server learns of it
  }
}

function read(line: string, event: ServerEvent): void {
  const colon = line.indexOf(':')
  if (colon === 0) return // a heartbeat
  const field = colon < 0 ? line : line.slice(0, colon)
  const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
  if (field === 'data') event.data += '\n' + value
  else if (field === 'event') event.name = value
  else if (field === 'id') event.id = value
}

function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Silence()), ms)
  })
  return Promise.race([promise, silence]).finally(() => clearTimeout(timer))
}
