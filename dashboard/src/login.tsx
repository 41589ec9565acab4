import { type FormEvent, useState } from 'react'
import { login, Refusal } from './api.ts'
import { start } from './feed.ts'

/** Asks for a token; the server keeps it in a cookie that scripts cannot read. */
export function Login() {
  const [token, setToken] = useState('')
  const [problem, setProblem] = useState('')
  const send = async (event: FormEvent) => {
    event.preventDefault()
    try {
      await login(token)
      await start()
    } catch (error) {
      setProblem(error instanceof Refusal ? error.message : String(error))
    }
  }
  return (
    <main className="login">
      <form onSubmit={send}>
        <h1>swarm</h1>
        <label>
          Token
          <input
            type="password"
            autoComplete="current-password"
            required
            value={token}
            onChange={(event) => setToken(event.target.value)}
          />
        </label>
        <p className="dim">
          <code>swarm token create --role observer</code> makes one.
        </p>
        {problem !== '' && (
          <p className="problem" role="alert">
            {problem}
          </p>
        )}
        <button type="submit" className="go">
          log in
        </button>
      </form>
    </main>
  )
}
