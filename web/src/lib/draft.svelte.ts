import type { GenerationSubmission, ModelInfo, Problem } from './api'
import { pacesOf, type Paces } from './pace'
import { server } from './server.svelte'
import { storage } from './storage'

/** The settings that the person changed; every other one is the model's own. */
export type Overrides = Partial<Omit<GenerationSubmission, 'prompt' | 'random'>>
export type Setting = keyof Overrides

const OF_A_MODEL: Setting[] = [
  'width',
  'height',
  'num_inference_steps',
  'guidance_scale',
  'sampler',
  'schedule',
]

/** What is about to be asked for; kept in this browser, so that a reload loses nothing. */
class Draft {
  prompt = $state('')
  overrides = $state<Overrides>({})
  errors = $state<Record<string, string>>({})
  /** How often the server has refused: whoever watches it learns of the next time. */
  refusals = $state(0)

  constructor() {
    const kept = storage.read<{ prompt: string; overrides: Overrides }>('draft')
    this.prompt = kept?.prompt ?? ''
    this.overrides = kept?.overrides ?? {}
  }

  /** Reads everything that is kept, so that an effect around it runs on each change. */
  keep(): void {
    storage.write('draft', { prompt: this.prompt, overrides: $state.snapshot(this.overrides) })
  }

  get model(): ModelInfo | null {
    const models = server.capabilities?.models ?? []
    return models.find((m) => m.name === this.overrides.model) ?? models.find((m) => m.default) ?? models[0] ?? null
  }

  get paces(): Paces | null {
    return this.model && pacesOf(server.capabilities?.models ?? [], this.model)
  }

  /** How many settings are changed, not counting what is in sight: the shape and the pace. */
  get changes(): number {
    const inSight = ['width', 'height', ...(this.paces ? ['model'] : [])]
    return Object.keys(this.overrides).filter((name) => !inSight.includes(name)).length
  }

  submission(): GenerationSubmission {
    const { model, ...settings } = $state.snapshot(this.overrides)
    const loaded = !server.capabilities || this.model?.name === model
    return { prompt: this.prompt, ...settings, ...(model && loaded && { model }) }
  }

  /** What a setting is now: the person's, or the model's. */
  value<S extends Setting>(name: S): Overrides[S] {
    return this.overrides[name] ?? (this.defaults[name] as Overrides[S])
  }

  get defaults(): Overrides {
    const model = this.model
    if (!model) return {}
    const { width, height, num_inference_steps, guidance_scale, sampler, schedule = null } = model
    const own = { width, height, num_inference_steps, guidance_scale, sampler, schedule }
    const output_format = server.capabilities?.output_formats[0] ?? null
    return { ...own, model: model.name, num_images: 1, output_format, negative_prompt: '', seed: null }
  }

  /** `null` and the model's own value both mean: not changed. */
  set<S extends Setting>(name: S, value: Overrides[S] | null): void {
    delete this.errors[name]
    if (value === null || value === undefined || value === this.defaults[name]) delete this.overrides[name]
    else this.overrides[name] = value
  }

  /** A schedule that the new sampler cannot use is let go. */
  setSampler(name: string): void {
    const model = this.model
    const sampler = model?.samplers?.find((s) => s === name)
    if (!model || !sampler) return
    this.set('sampler', sampler)
    const schedule = this.overrides.schedule
    if (schedule && !model.schedules[sampler]?.includes(schedule)) this.set('schedule', null)
  }

  /** Its own settings come with a model; a shape that it can paint just as well stays. */
  choose(model: string): void {
    const { min_size, max_size, size_step } = this.model ?? {}
    const { width = null, height = null } = this.overrides
    for (const name of OF_A_MODEL) delete this.overrides[name]
    delete this.overrides.model // so that the comparison below is with the server's default
    this.set('model', model)
    const now = this.model
    if (now?.min_size !== min_size || now?.max_size !== max_size || now?.size_step !== size_step) return
    this.set('width', width)
    this.set('height', height)
  }

  /** Back to the model's own values; the model stays. */
  reset(): void {
    const { model } = this.overrides
    this.overrides = model && this.model?.name === model ? { model } : {}
    this.errors = {}
  }

  /** Take a whole set of parameters over. */
  take({ prompt, ...settings }: GenerationSubmission): void {
    this.overrides = {}
    this.errors = {}
    this.prompt = prompt ?? ''
    if (server.capabilities?.models.some(({ name }) => name === settings.model)) this.choose(settings.model!)
    for (const [name, value] of Object.entries(settings))
      if (name !== 'random' && name !== 'model') this.set(name as Setting, value as Overrides[Setting])
  }

  /** Put a refusal beside the fields it names. */
  refuse(problem: Problem): void {
    this.errors = Object.fromEntries((problem.errors ?? []).map((e) => [e.field, e.message]))
    if (Object.keys(this.errors).length === 0) this.errors = { prompt: problem.detail || problem.title }
    this.refusals += 1
  }
}

export const draft = new Draft()
