import type { Plugin as EsbuildPlugin } from 'esbuild'
import type { Plugin as VitePlugin } from 'vitest/config'

export function patchPostgres(source: string): string
export function esbuildPlugin(): EsbuildPlugin
export function vitePlugin(): VitePlugin
