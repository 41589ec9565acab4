import type { IncomingMessage } from 'node:http'
import { SwarmError } from '../../contract/errors.ts'
import { Refused } from './refused.ts'

/**
 * Reads a body of at most `limit` bytes. A longer one is refused as soon as that is known, by its announced length or while it comes; no
 * more of it than the limit is held. Undefined when the client has gone before its end.
 */
export async function readBody(incoming: IncomingMessage, limit: number): Promise<Buffer | undefined> {
  const encoding = incoming.headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') throw new Refused(415, compressed(encoding))
  if (Number(incoming.headers['content-length'] ?? 0) > limit) throw new Refused(413, tooLong(limit))
  const chunks: Buffer[] = []
  let bytes = 0
  return new Promise((resolve, reject) => {
    const stop = () => {
      incoming.off('data', onData)
      incoming.off('end', onEnd)
      incoming.off('close', onClose)
      incoming.off('error', onClose)
    }
    const onData = (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= limit) {
        chunks.push(chunk)
        return
      }
      stop()
      reject(new Refused(413, tooLong(limit)))
    }
    const onEnd = () => {
      stop()
      resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))
    }
    const onClose = () => {
      stop()
      resolve(undefined)
    }
    incoming.on('data', onData)
    incoming.once('end', onEnd)
    incoming.once('close', onClose)
    incoming.once('error', onClose)
    if (incoming.destroyed) onClose()
  })
}

function tooLong(limit: number): SwarmError {
  return new SwarmError('INVALID', `a body has at most ${limit} bytes`, {
    ctx: { kind: 'InvalidValue', field: 'body', expected: `at most ${limit} bytes`, got: 'more' },
  })
}

function compressed(encoding: string): SwarmError {
  return new SwarmError('INVALID', 'a body is sent as it is, without Content-Encoding', {
    ctx: {
      kind: 'InvalidValue',
      field: 'Content-Encoding',
      expected: 'identity',
      got: encoding.slice(0, 80),
    },
  })
}
