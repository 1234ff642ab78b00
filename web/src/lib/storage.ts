/** A value in this browser; forgotten silently where storage is switched off or full. */
export const storage = {
  read<T>(key: string): T | null {
    try {
      return JSON.parse(localStorage.getItem(`limner.${key}`) ?? 'null') as T | null
    } catch {
      return null
    }
  },

  write(key: string, value: unknown): void {
    try {
      localStorage.setItem(`limner.${key}`, JSON.stringify(value))
    } catch {
      // a private window may refuse; the page works without
    }
  },
}
