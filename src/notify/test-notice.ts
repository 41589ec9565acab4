import type { Notice } from './incidents.ts'

/** What `notify test` sends. `key` makes its id: the same request is the same message. `at` is in ms of the epoch. */
export function testNotice(key: string, at: number): Notice {
  const timestamp = new Date(at).toISOString()
  return {
    ...{
      state: 'info',
      subject: `test:${key}`,
      type: 'notify_test',
      severity: 'info',
      at,
      since: at,
      sequence: 0,
    },
    text: 'this is a test of notifications',
    event: {
      ...{
        sequence: 0,
        payload_version: 1,
        timestamp,
        event_type: 'notify_test',
        entity_id: key,
        origin: 'system',
      },
      payload: {},
    },
  }
}
