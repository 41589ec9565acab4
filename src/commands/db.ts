import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { noRoot } from '../runtime/target.ts'

const input = z.strictObject({
  action: z.enum(['start', 'stop', 'status', 'reset', 'adopt']),
  force: z
    .boolean()
    .optional()
    .describe('required to reset, which deletes all data, and to adopt data whose files name code to run'),
})

export default defineCommand({
  name: 'db',
  group: 'set up',
  summary:
    'the embedded Postgres of this root: start, stop, status, reset to an empty one, or adopt data made elsewhere',
  input,
  output: z.object({
    action: z.enum(['start', 'stop', 'status', 'reset', 'adopt']),
    changed: z.boolean(),
    running: z.boolean(),
    used: z.boolean().describe('false when DATABASE_URL or the configuration names another database'),
    state: z.string().optional().describe('ready, busy, forbidden or away'),
    pid: z.int().optional(),
    since: z.string().optional(),
    version: z.string().optional(),
    data_dir: z.string().optional(),
    socket_dir: z.string().optional(),
    port: z.int().optional(),
    connections: z.int().optional(),
    size_bytes: z.int().optional(),
    log_file: z.string().optional(),
    idle_stop_ms: z.int().optional(),
    owner_uid: z.int().optional().describe('with adopt: the user that owns the data'),
    data_version: z.string().optional().describe('with adopt: the major version of Postgres that wrote them'),
    concerns: z
      .array(z.string())
      .optional()
      .describe('with adopt: what their files would load, run or lead to'),
  }),
  effect: 'local',
  needs: 'root',
  errors: [],
  positional: ['action'],
  examples: [],
  async run(ctx, { action, force }) {
    if (!ctx.root) throw noRoot()
    const [embedded, { join }] = await Promise.all([import('../embedded/index.ts'), import('node:path')])
    const { path, config } = ctx.root
    const swarmDir = join(path, '.swarm')
    const act = async (): Promise<boolean> => {
      switch (action) {
        case 'start': {
          const { startEmbedded } = await import('../embedded/target.ts')
          return (await startEmbedded(swarmDir, config.idle_stop_ms)).started
        }
        case 'stop':
          return (await embedded.stopEmbedded(swarmDir)).stopped
        case 'reset':
          if (!force) throw unforced(path)
          await embedded.resetEmbedded(swarmDir)
          return true
        case 'adopt':
          return embedded.adoptEmbedded(swarmDir, force)
        case 'status':
          return false
      }
    }
    const changed = await act()
    const {
      pid,
      data_dir,
      socket_dir,
      log_file,
      keeper_pid: _,
      ...status
    } = await embedded.embeddedStatus(swarmDir)
    const { owner_uid, data_version, concerns } =
      action === 'adopt' ? await embedded.embeddedFound(swarmDir) : {}
    return {
      action,
      changed,
      used: !(ctx.env.DATABASE_URL || config.database_url),
      ...status,
      ...(pid === null ? {} : { pid }),
      ...(data_dir === null ? {} : { data_dir }),
      ...(socket_dir === null ? {} : { socket_dir }),
      ...(log_file === null ? {} : { log_file }),
      ...(concerns === undefined ? {} : { owner_uid, data_version, concerns: [...concerns] }),
    }
  },
  dry: async (ctx, { action }) => {
    if (action === 'adopt' && ctx.root) return showAdoption(ctx.root.path)
    return action === 'status' ? [] : [`${action} the embedded Postgres of ${ctx.root?.path ?? 'this root'}`]
  },
})

/** What adopting would accept, in lines for a person. */
async function showAdoption(path: string): Promise<string[]> {
  const [{ embeddedFound }, { join }] = await Promise.all([
    import('../embedded/index.ts'),
    import('node:path'),
  ])
  const { data_dir, owner_uid, data_version, concerns, adopted } = await embeddedFound(join(path, '.swarm'))
  if (adopted) return []
  return [
    `accept ${data_dir}, written by Postgres ${data_version}, owned by user ${owner_uid}`,
    ...concerns.map((one) => `accept with force: ${one}`),
  ]
}

function unforced(path: string): SwarmError {
  return new SwarmError(
    'INVALID',
    `reset deletes all data of the embedded Postgres of ${path}: say so with force`,
    {
      ctx: { kind: 'MissingField', field: 'force', expected: 'true' },
      fix: { cmd: 'db', action: 'status' },
    },
  )
}
