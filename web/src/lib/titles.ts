const TITLES: Record<string, string> = {
  ddim: 'DDIM',
  ddpm: 'DDPM',
  euler_ancestral: 'Euler ancestral',
  dpmpp_2m: 'DPM++ 2M',
  dpmpp_2m_sde: 'DPM++ 2M SDE',
  lcm: 'LCM',
  tcd: 'TCD',
  plain: "The model's own",
  png: 'PNG',
  webp: 'WebP',
  jpeg: 'JPEG',
}

/** How people write the name of a sampler, a schedule or a format. */
export function title(name: string): string {
  return TITLES[name] ?? name.charAt(0).toUpperCase() + name.slice(1).replaceAll('_', ' ')
}

/** A duration as one says it: `0.84 s`, `12 s`, `2 min`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`
  return seconds < 100 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`
}
