/** Run as a process of its own: kills the backend of a reserved connection and goes on with it. argv: URL */
import postgres from 'postgres'

const [, , url = ''] = process.argv

async function main(): Promise<void> {
  let closed = () => {}
  const dead = new Promise<void>((resolve) => {
    closed = resolve
  })
  const sql = postgres(url, { max: 2, onnotice: () => {}, onclose: () => closed() })
  const reserved = await sql.reserve()
  const [row] = await reserved`select pg_backend_pid() as pid`
  await sql`select pg_terminate_backend(${row?.pid})`
  await dead
  const outcome = await reserved`select 1`.catch((error: unknown) => String(error))
  process.stdout.write(`${outcome}\n`)
  await sql.end({ timeout: 1 })
}

void main()
