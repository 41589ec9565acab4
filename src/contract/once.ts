import * as z from 'zod'

/**
 * For a process that answers one request, imported before any schema is made: zod then interprets its schemas instead of compiling each
 * into a function, which pays from the second request on.
 */
z.config({ jitless: true })
