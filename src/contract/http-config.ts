import * as z from 'zod'

/** `[http]` of `.swarm/config.toml`: the bounds of `swarm serve`. Only `trust_proxy` is an active key: it decides who is believed. */
export const httpSchema = z.strictObject({
  trust_proxy: z
    .array(z.union([z.ipv4(), z.ipv6()]))
    .max(64)
    .optional()
    .describe('addresses of proxies whose X-Forwarded-* headers are believed; tokens are required then'),
  max_body_bytes: z.int().min(1_024).max(67_108_864).optional().describe('longest body; 4 MiB by default'),
  requests_per_second: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('requests of one token, or of one address that shows none; 2,000 by default'),
  connections: z.int().min(1).max(100_000).optional().describe('open connections of all; 5,000 by default'),
  connections_per_address: z
    .int()
    .min(1)
    .max(100_000)
    .optional()
    .describe('open connections of one address that is no proxy; half of all by default'),
  streams: z
    .int()
    .min(1)
    .max(100_000)
    .optional()
    .describe('open streams and sockets of one token, or of all who show none; 2,000 by default'),
  body_timeout_ms: z
    .int()
    .min(100)
    .max(600_000)
    .optional()
    .describe('how long a request may take to arrive, and its answer may lie unread; 30,000 by default'),
})

export type HttpConfig = z.output<typeof httpSchema>
