declare const SWARM_VERSION: string | undefined

/** The version in package.json; the build puts it in. */
export const VERSION: string = typeof SWARM_VERSION === 'string' ? SWARM_VERSION : 'development'
