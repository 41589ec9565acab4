import { createHmac } from 'node:crypto'

/** The key in a secret as Standard Webhooks writes it: `whsec_` and base64 of 24 to 64 bytes. Undefined when it is none. */
export function keyOf(secret: string): Buffer | undefined {
  const encoded = secret.trim().replace(/^whsec_/, '')
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return undefined
  const key = Buffer.from(encoded, 'base64')
  return key.length >= 24 && key.length <= 64 ? key : undefined
}

/** The headers that Standard Webhooks asks for. `at` is the time of this attempt, in ms. */
export function signedHeaders(key: Buffer, id: string, at: number, body: string): Record<string, string> {
  const seconds = String(Math.floor(at / 1_000))
  const signature = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')
  return {
    'content-type': 'application/json',
    'user-agent': 'swarm',
    'webhook-id': id,
    'webhook-timestamp': seconds,
    'webhook-signature': `v1,${signature}`,
  }
}
