import type { ModelInfo } from './api'

/** Two models that paint the same, one in fewer steps than the other. */
export interface Paces {
  fast: ModelInfo
  best: ModelInfo
}

/** The two of which `model` is one, if both are loaded. */
export function pacesOf(models: ModelInfo[], model: ModelInfo): Paces | null {
  for (const fast of models) {
    const best = models.find(({ name }) => name === fast.base)
    if (best && (model === fast || model === best)) return { fast, best }
  }
  return null
}
