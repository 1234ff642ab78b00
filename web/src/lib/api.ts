import { base, credentials, elsewhere, ownKey } from './home'
import type { components } from './schema'
import { readEvents, type ServerEvent } from './sse'

type Schemas = components['schemas']
export type Capabilities = Schemas['Capabilities']
export type Generation = Schemas['Generation']
export type GenerationEvents = Schemas['GenerationEvents']
export type GenerationList = Schemas['GenerationList']
export type GenerationParams = Schemas['GenerationParams']
export type GenerationSubmission = Schemas['GenerationSubmission']
export type Image = Schemas['Image']
export type Limits = Schemas['Limits']
export type ModelInfo = Schemas['ModelInfo']
export type Problem = Schemas['Problem']
export type PromptEvents = Schemas['PromptEvents']
export type PromptIn = Schemas['PromptIn']
export type Ready = Schemas['Ready']
export type Session = Schemas['Session']

/** An event of a stream, told apart by `name`. */
export type EventOf<Events> = { [N in keyof Events]: { id: string; name: N; data: Events[N] } }[keyof Events]

/** The server answered with a problem document. */
export class Refused extends Error {
  constructor(
    readonly problem: Problem,
    readonly retryAfterS: number | null,
  ) {
    super(problem.detail || problem.title)
  }

  /** The same request may succeed later. */
  get passing(): boolean {
    return this.problem.status === 429 || this.problem.status === 503
  }

  /** The same request succeeds once this page has entered a key. */
  get needsKey(): boolean {
    return this.problem.status === 401
  }
}

/** No answer came: the server is gone, or the way to it. */
export class Unreachable extends Error {}

const HEARTBEAT_MS = 15_000 // the contract's longest; two may be missed

async function send(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response
  try {
    const headers = { ...(init.headers as Record<string, string>), ...credentials() }
    response = await fetch(new URL(path, base), { ...init, headers })
  } catch (cause) {
    if (init.signal?.aborted) throw cause
    throw new Unreachable('The server is not answering.', { cause })
  }
  if (response.ok) return response
  throw await refusal(response)
}

async function refusal(response: Response): Promise<Error> {
  const retryAfterS = Number.parseFloat(response.headers.get('retry-after') ?? '') || null
  if (response.headers.get('content-type')?.startsWith('application/problem+json'))
    return new Refused((await response.json()) as Problem, retryAfterS)
  if (response.status >= 502 && response.status <= 504) return new Unreachable('The server is not answering.')
  const title = response.statusText || `Status ${response.status}`
  const problem = { type: 'about:blank', title, status: response.status, detail: title, code: 'unknown', errors: [] }
  return new Refused(problem, retryAfterS)
}

function json(body: unknown, headers: Record<string, string> = {}): RequestInit {
  const type = { 'content-type': 'application/json' }
  return { method: 'POST', headers: { ...type, ...headers }, body: JSON.stringify(body) }
}

async function* stream<Events>(path: string, init: RequestInit): AsyncGenerator<EventOf<Events>> {
  const headers = { ...(init.headers as Record<string, string>), accept: 'text/event-stream' }
  const response = await send(path, { ...init, headers })
  try {
    for await (const event of readEvents(response.body!, 2.5 * HEARTBEAT_MS)) yield parsed<Events>(event)
  } catch (cause) {
    if (init.signal?.aborted) throw cause
    throw new Unreachable('The connection to the server broke.', { cause })
  }
}

function parsed<Events>(event: ServerEvent): EventOf<Events> {
  return { id: event.id, name: event.name, data: JSON.parse(event.data) } as EventOf<Events>
}

const generation = (id: string) => `api/generations/${encodeURIComponent(id)}`

/** The calls of the native API that the page makes. All may throw `Refused` and `Unreachable`. */
export const api = {
  async capabilities(): Promise<Capabilities> {
    return (await send('api/capabilities')).json()
  },

  /** Answers while the engine is not ready, too. */
  async ready(): Promise<Ready> {
    try {
      return await (await fetch(new URL('readyz', base), { cache: 'no-store', headers: credentials() })).json()
    } catch (cause) {
      throw new Unreachable('The server is not answering.', { cause })
    }
  },

  /** Who the server takes this page for. */
  async session(): Promise<Session> {
    return (await send('api/session')).json()
  },

  /** From now on this browser asks with that key. */
  async enter(key: string): Promise<Session> {
    return elsewhere ? enterElsewhere(key) : (await send('api/session', json({ key }))).json()
  },

  async leave(): Promise<void> {
    if (elsewhere) ownKey.write('')
    else await send('api/session', { method: 'DELETE' })
  },

  async generate(submission: GenerationSubmission, key: string, signal: AbortSignal): Promise<Generation> {
    const request = json(submission, { 'idempotency-key': key })
    return (await send('api/generations', { ...request, signal })).json()
  },

  async generations(limit: number, cursor: string | null): Promise<GenerationList> {
    const query = new URLSearchParams({ limit: String(limit), ...(cursor && { cursor }) })
    return (await send(`api/generations?${query}`)).json()
  },

  /** Events after `lastId`, beginning with a snapshot. */
  events(id: string, lastId: string, signal: AbortSignal): AsyncGenerator<EventOf<GenerationEvents>> {
    const headers: Record<string, string> = lastId ? { 'last-event-id': lastId } : {}
    return stream<GenerationEvents>(`${generation(id)}/events`, { headers, signal })
  },

  async cancel(id: string): Promise<void> {
    await send(`${generation(id)}/cancel`, { method: 'POST', headers: { 'content-type': 'application/json' } })
  },

  /** `keepalive`: the request outlives the page. */
  async remove(id: string, keepalive = false): Promise<void> {
    await send(generation(id), { method: 'DELETE', keepalive })
  },

  /** Pieces of a prompt as they are written; aborting `signal` stops the writer. */
  write(request: PromptIn, signal: AbortSignal): AsyncGenerator<EventOf<PromptEvents>> {
    return stream<PromptEvents>('api/prompts', { ...json(request), signal })
  },
}

/** A cookie would not come back from here, so the key itself is kept and sent. */
async function enterElsewhere(key: string): Promise<Session> {
  ownKey.write(key)
  const session: Session = await (await send('api/session')).json()
  if (session.kind === 'key') return session
  ownKey.write('')
  const detail = 'This key is not known here, was revoked or has expired; ask for a new one.'
  throw new Refused({ type: 'about:blank', title: detail, status: 401, detail, code: 'key_needed', errors: [] }, null)
}

/** An answer's absolute URL as seen from this page: a proxy that hides its own address does no harm. */
export function here(url: string): string {
  const { pathname, search } = new URL(url, base)
  return new URL(pathname.slice(pathname.lastIndexOf('/api/') + 1) + search, base).href
}

/** The address that saves an image instead of showing it. */
export function downloadUrl(image: Image): string {
  const url = new URL(here(image.url))
  url.searchParams.set('download', '1')
  return url.href
}
