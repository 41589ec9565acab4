import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { findPgBouncer, type Pooler, startPgBouncer } from '../support/pgbouncer.ts'
import { type ScratchServer, scratchServer } from '../support/scratch-server.ts'
import { openPipe, runSwarm } from '../support/swarm.ts'
import { plainClient, withDatabase } from '../support/template.ts'

/* What somebody with CREATE on public can make: closer matches than those of Postgres, and the same where public stands first. */
const TRAP = `
  create function public.trap() returns void language plpgsql as $t$
    begin if (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
      execute 'alter role mallory superuser'; end if; end $t$;
  create function public.format(a text, b text) returns text language plpgsql as
    $t$ begin perform public.trap(); return pg_catalog.format(a, b); end $t$;
  create function public.format(a text, b text, c text) returns text language plpgsql as
    $t$ begin perform public.trap(); return pg_catalog.format(a, b, c); end $t$;
  create function public.jsonb_build_object(a text, b integer) returns jsonb language plpgsql as
    $t$ begin perform public.trap(); return pg_catalog.jsonb_build_object(a, b); end $t$;
  create function public.jsonb_build_object(a text, b bigint) returns jsonb language plpgsql as
    $t$ begin perform public.trap(); return pg_catalog.jsonb_build_object(a, b); end $t$;
  create function public.jsonb_build_object(a text, b text) returns jsonb language plpgsql as
    $t$ begin perform public.trap(); return pg_catalog.jsonb_build_object(a, b); end $t$;
  create function public.jsonb_build_object(a text, b jsonb) returns jsonb language plpgsql as
    $t$ begin perform public.trap(); return pg_catalog.jsonb_build_object(a, b); end $t$;
  create function public.clock_timestamp() returns timestamptz language plpgsql as
    $t$ begin perform public.trap(); return pg_catalog.clock_timestamp(); end $t$;
  create function public.set_config(a text, b text, c boolean) returns text language plpgsql as
    $t$ begin perform public.trap(); return pg_catalog.set_config(a, b, c); end $t$;
  create function public.jsonb_array_elements(a jsonb) returns setof jsonb language plpgsql as
    $t$ begin perform public.trap(); return query select * from pg_catalog.jsonb_array_elements(a); end $t$;
  create function public.same(a text, b text) returns boolean language plpgsql as
    $t$ begin perform public.trap(); return a operator(pg_catalog.=) b; end $t$;
  create operator public.= (leftarg = text, rightarg = text, function = public.same);
  create function public.joined(a text, b text) returns text language plpgsql as
    $t$ begin perform public.trap(); return pg_catalog.concat(a, b); end $t$;
  create operator public.|| (leftarg = text, rightarg = text, function = public.joined);
  create function public.both(a jsonb, b jsonb) returns jsonb language plpgsql as
    $t$ begin perform public.trap(); return a operator(pg_catalog.||) b; end $t$;
  create operator public.|| (leftarg = jsonb, rightarg = jsonb, function = public.both);
  create function public.has(a jsonb, b text) returns boolean language plpgsql as
    $t$ begin perform public.trap(); return a operator(pg_catalog.?) b; end $t$;
  create operator public.? (leftarg = jsonb, rightarg = text, function = public.has);
  create function public.any_of(a jsonb, b text[]) returns boolean language plpgsql as
    $t$ begin perform public.trap(); return a operator(pg_catalog.?|) b; end $t$;
  create operator public.?| (leftarg = jsonb, rightarg = text[], function = public.any_of);`

const program = findPgBouncer()

describe('with a public schema in which somebody else makes functions and operators', () => {
  let server: ScratchServer
  let pooler: Pooler | undefined
  let admin: ReturnType<typeof plainClient>
  let direct = ''
  let pooled = ''

  beforeAll(async () => {
    server = await scratchServer({ settings: { max_connections: '100' } })
    const owner = plainClient(server.url)
    await owner.unsafe('create role mallory login nosuperuser')
    await owner.unsafe('create database hostile')
    await owner.unsafe('alter database hostile set search_path = public, pg_catalog')
    await owner.end()
    direct = withDatabase(server.url, 'hostile')
    admin = plainClient(direct)
    await admin.unsafe('grant create on schema public to mallory')
    if (program) {
      pooler = await startPgBouncer(program, server.port)
      pooled = withDatabase(`postgres://postgres@127.0.0.1:${pooler.port}/x`, 'hostile')
    }
    const mallory = new URL(direct)
    mallory.username = 'mallory'
    const hers = plainClient(mallory.href)
    await hers.unsafe(`set search_path = pg_catalog; ${TRAP}`)
    await hers.end()
  })

  beforeEach(async () => {
    await admin.unsafe('set search_path = pg_catalog; alter role mallory nosuperuser')
  })

  afterAll(async () => {
    await admin?.end()
    await pooler?.close()
    await server?.close()
  })

  async function isSuperuser(): Promise<unknown> {
    const [row] = await admin.unsafe(
      "select rolsuper from pg_catalog.pg_roles where rolname operator(pg_catalog.=) 'mallory'",
    )
    return row?.rolsuper
  }

  async function loop(url: string, repo: string): Promise<void> {
    const env = { DATABASE_URL: url, SWARM_REPO: repo }
    expect((await runSwarm(['init-db'], { env })).code).toBe(0)
    const pipe = openPipe(env)
    const request = async (line: { readonly cmd: string; readonly [key: string]: unknown }) => {
      // safe: a request of this file holds JSON only
      const answer = await pipe.ok(line as never)
      expect(await isSuperuser(), `after ${line.cmd}`).toBe(false)
      return answer
    }
    await request({ cmd: 'register', count: 2 })
    await request({
      cmd: 'enqueue',
      beads: [
        { bead_id: 'a', title: 'A' },
        { bead_id: 'b', title: 'B' },
      ],
    })
    await request({ cmd: 'claim-next', agent_id: 1 })
    await request({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
    await request({ cmd: 'send', agent_id: 1, to: 2, body: 'hello' })
    await request({ cmd: 'inbox', agent_id: 2 })
    await request({ cmd: 'record-event', event_type: 'progress', entity_id: 'x' })
    for (const cmd of ['events', 'beads', 'status', 'agents', 'monitor', 'export', 'doctor'])
      await request({ cmd })
    await request({ cmd: 'show', bead_id: 'a' })
    await request({ cmd: 'batch', ops: [{ cmd: 'status' }, { cmd: 'broadcast', from: 1, msg: 'x' }] })
    await request({ cmd: 'subscribe', from: 'beginning', until: 'idle:1ms' })
    await pipe.close()
  }

  test('a superuser runs the whole loop and nobody else becomes one', async () => {
    await loop(direct, 'direct')
  }, 180_000)

  test.skipIf(!program)(
    'the same behind PgBouncer, which takes no search_path at start-up',
    async () => {
      await loop(pooled, 'pooled')
    },
    180_000,
  )

  test('the functions that clients call are safe by themselves, from any session', async () => {
    const env = { DATABASE_URL: direct, SWARM_REPO: 'psql' }
    expect((await runSwarm(['init-db'], { env })).code).toBe(0)
    const session = plainClient(direct)
    const [path] = await session.unsafe('show search_path')
    expect(path?.search_path).toBe('public, pg_catalog')
    for (const statement of [
      `select swarm.run('psql', 'register', '{"count": 1}', '{}', 'k1')`,
      `call swarm.run_and_wake('psql', 'register', '{"count": 2}', '{}', 'k2', null, null)`,
      `select swarm.append('[{"repo": "psql", "cmd": "record-event", "key": "k3", "proc": {},
        "args": {"event_type": "progress", "entity_id": "x"}}]')`,
      `select swarm.access(null, '{psql}')`,
      `select swarm.status_json('psql')`,
      `select swarm.doctor_json('psql')`,
      `select swarm.sweep('psql')`,
    ]) {
      await session.unsafe(statement)
      expect(await isSuperuser(), statement).toBe(false)
    }
    await session.end()
  }, 180_000)

  test('so is every other function, called by hand', async () => {
    const env = { DATABASE_URL: direct, SWARM_REPO: 'hand' }
    expect((await runSwarm(['init-db'], { env })).code).toBe(0)
    const calls = await admin.unsafe(`select pg_catalog.format('select swarm.%I(%s)', p.proname, (
        select pg_catalog.string_agg(case when t operator(pg_catalog.=) 'text'::pg_catalog.regtype then '''hand''::pg_catalog.text'
          else pg_catalog.format('null::%s', t::pg_catalog.regtype) end, ', ' order by n)
        from pg_catalog.unnest(p.proargtypes) with ordinality a(t, n))) as call
      from pg_catalog.pg_proc p where p.pronamespace operator(pg_catalog.=) 'swarm'::pg_catalog.regnamespace
        and p.prokind operator(pg_catalog.=) 'f' order by p.proname`)
    expect(calls.length).toBeGreaterThan(150)
    const session = plainClient(direct)
    const trapped = []
    for (const { call } of calls) {
      // what a function says of such arguments is not the point
      await session.unsafe(call).catch(() => {})
      if (await isSuperuser()) {
        trapped.push(call)
        await admin.unsafe('alter role mallory nosuperuser')
      }
    }
    await session.end()
    expect(trapped).toEqual([])
  }, 180_000)
})
