/** Ways to call flock(1): of util-linux, or of busybox. By path, too: two processes with another PATH must lock the same way. */
export const FLOCK: readonly (readonly [string, ...string[]])[] = [
  ['flock'],
  ['/usr/bin/flock'],
  ['/bin/flock'],
  ['busybox', 'flock'],
  ['/bin/busybox', 'flock'],
]
