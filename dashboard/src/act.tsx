import { type FormEvent, useEffect, useRef, useState } from 'react'
import { type Act, Refusal, rpc } from './api.ts'
import { Text } from './drawer.tsx'
import { state } from './store.ts'

export interface Wanted {
  readonly request: Act
  /** Answers that were offered with a question. */
  readonly options?: readonly string[] | undefined
  /** What it is about, in full: a question, like. */
  readonly about?: string | undefined
}

interface Field {
  readonly name: string
  readonly label: string
  readonly needed: boolean
  readonly kind: 'text' | 'minutes' | 'agent'
}

const REASON: Field = { name: 'reason', label: 'Reason', needed: false, kind: 'text' }

/** What a verb needs besides what the request has; where no reason is asked for, what is said is the reason. */
const FIELDS: Readonly<Record<string, readonly Field[]>> = {
  answer: [{ name: 'answer', label: 'Answer', needed: true, kind: 'text' }],
  steer: [{ name: 'text', label: 'Say', needed: true, kind: 'text' }],
  extend: [{ name: 'ms', label: 'Minutes', needed: true, kind: 'minutes' }, REASON],
  assign: [{ name: 'agent_id', label: 'Agent', needed: true, kind: 'agent' }, REASON],
  reopen: [{ name: 'feedback', label: 'Reason: what to do differently', needed: false, kind: 'text' }],
}

interface DialogProps {
  readonly wanted: Wanted
  readonly close: () => void
}

/** Asks for the reason and whatever else a verb needs, shows the command of a shell that does the same, and sends it. */
export function ActDialog({ wanted, close }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null)
  // one key for the whole dialog: sent twice, it is done once
  const [key] = useState(() => crypto.randomUUID())
  const [values, setValues] = useState<Readonly<Record<string, string>>>({})
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const fields = FIELDS[wanted.request.cmd] ?? [REASON]
  const request = withValues(wanted.request, fields, values)
  useEffect(() => {
    box.current?.showModal()
    box.current?.querySelector<HTMLElement>('input, select')?.focus()
  }, [])

  const send = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    try {
      await rpc(request, key)
      close()
    } catch (error) {
      setProblem(error instanceof Refusal ? error.message : String(error))
      setBusy(false)
    }
  }
  return (
    <dialog ref={box} className="act" aria-label={wanted.request.cmd} onClose={close}>
      <form onSubmit={send}>
        <h2>{wanted.request.cmd}</h2>
        {wanted.about !== undefined && (
          <Text label="what it is about" prose>
            {wanted.about}
          </Text>
        )}
        {fields.map((field, at) => (
          <label key={field.name} htmlFor={`act-${field.name}`}>
            {field.label}
            <Input
              field={field}
              first={at === 0}
              options={wanted.options}
              value={values[field.name] ?? ''}
              change={(value) => setValues({ ...values, [field.name]: value })}
            />
          </label>
        ))}
        <Shell text={shellOf(request)} />
        {problem !== '' && (
          <p className="problem" role="alert">
            {problem}
          </p>
        )}
        <p className="acts">
          <button type="submit" className="go" disabled={busy}>
            {wanted.request.cmd}
          </button>
          <button type="button" onClick={close}>
            not now
          </button>
        </p>
      </form>
    </dialog>
  )
}

/** The command of a shell that does the same, to be taken along. */
export function Shell({ text }: { readonly text: string }) {
  const [taken, setTaken] = useState('')
  return (
    <div className="shell">
      <code>{text}</code>
      <button
        type="button"
        className="copy"
        onClick={() => {
          // not there where the page did not come over a safe way
          navigator.clipboard?.writeText(text).then(() => setTaken(text))
        }}
      >
        {taken === text ? 'copied' : 'copy'}
      </button>
    </div>
  )
}

interface InputProps {
  readonly field: Field
  readonly first: boolean
  readonly options: readonly string[] | undefined
  readonly value: string
  readonly change: (value: string) => void
}

function Input({ field, first, options, value, change }: InputProps) {
  const common = { id: `act-${field.name}`, name: field.name, required: field.needed, value }
  if (field.kind === 'agent')
    return (
      <select {...common} onChange={(event) => change(event.target.value)}>
        <option value="">choose</option>
        {state.agents.map(({ agent_id, name, role }) => (
          <option key={agent_id} value={agent_id}>
            {name ?? `agent ${agent_id}`} {role ?? ''}
          </option>
        ))}
      </select>
    )
  return (
    <>
      {first && options && (
        <span className="chips">
          {options.map((option) => (
            <button key={option} type="button" aria-pressed={value === option} onClick={() => change(option)}>
              {option}
            </button>
          ))}
        </span>
      )}
      <input
        {...common}
        type={field.kind === 'minutes' ? 'number' : 'text'}
        min={1}
        max={field.kind === 'minutes' ? 1_440 : undefined}
        onChange={(event) => change(event.target.value)}
      />
    </>
  )
}

function withValues(request: Act, fields: readonly Field[], values: Readonly<Record<string, string>>): Act {
  const filled = fields.flatMap(({ name, kind }) => {
    const value = values[name] ?? ''
    if (value === '') return []
    if (kind === 'minutes') return [[name, Number(value) * 60_000] as const]
    return [[name, kind === 'agent' ? Number(value) : value] as const]
  })
  return { ...request, ...Object.fromEntries(filled) }
}

/** The same request as a command of a shell. */
export function shellOf({ cmd, ...fields }: Act): string {
  const flags = Object.entries(fields).map(([name, value]) =>
    value === true ? flagOf(name) : flagWith(name, String(value)),
  )
  return ['swarm', cmd, ...flags].join(' ')
}

/** With `=` where the value itself looks like a flag. */
export function flagWith(name: string, value: string): string {
  return `${flagOf(name)}${value.startsWith('-') ? '=' : ' '}${quoted(value)}`
}

function flagOf(name: string): string {
  return `--${name.replaceAll('_', '-')}`
}

export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
