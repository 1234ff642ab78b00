import type { ModelInfo } from './api'

/** A size with a name, of about the model's native area. */
export interface Shape {
  name: 'Square' | 'Portrait' | 'Landscape'
  width: number
  height: number
}

const RATIO = 3 / 2

/** The shapes a model can paint, the native one's side or area kept where its limits allow. */
export function shapesOf(model: ModelInfo): Shape[] {
  const area = model.width * model.height
  const fit = (side: number) => {
    const stepped = Math.round(side / model.size_step) * model.size_step
    return Math.min(model.max_size, Math.max(model.min_size, stepped))
  }
  const square = fit(Math.sqrt(area))
  const long = fit(Math.sqrt(area * RATIO))
  const short = fit(Math.sqrt(area / RATIO))
  const shapes: Shape[] = [{ name: 'Square', width: square, height: square }]
  if (long > short)
    shapes.push({ name: 'Portrait', width: short, height: long }, { name: 'Landscape', width: long, height: short })
  return shapes
}
