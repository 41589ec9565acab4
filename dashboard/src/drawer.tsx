import { type ReactNode, useEffect, useRef, useState } from 'react'
import { Refusal } from './api.ts'
import { Ago, serverNow } from './time.tsx'

interface DrawerProps {
  readonly title: ReactNode
  readonly label: string
  readonly close: () => void
  readonly children: ReactNode
}

/** Beside the page, which stays live. */
export function Drawer({ title, label, close, children }: DrawerProps) {
  const box = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const before = document.activeElement
    box.current?.show()
    return () => {
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  return (
    <dialog ref={box} className="drawer" aria-label={label}>
      <h2>
        {title}
        <span className="grow" />
        <button type="button" onClick={close} aria-label="close">
          ×
        </button>
      </h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <div className="scroll" tabIndex={0}>
        {children}
      </div>
    </dialog>
  )
}

interface Known<T> {
  readonly subject: string
  readonly answer?: T
  readonly problem?: string
  /** When it was answered, as an ISO time. */
  readonly at?: string
}

/** What the server answers to a read about `subject`, read again when `version` differs; meanwhile the last answer stays. */
export function useAnswer<T>(
  read: () => Promise<T>,
  subject: string,
  version: string | number | undefined,
): Omit<Known<T>, 'subject'> {
  const [known, setKnown] = useState<Known<T>>({ subject })
  // biome-ignore lint/correctness/useExhaustiveDependencies: subject and version say what is read and when again
  useEffect(() => {
    let over = false
    const at = () => new Date(serverNow()).toISOString()
    read().then(
      (answer) => over || setKnown({ subject, answer, at: at() }),
      (error: unknown) =>
        over ||
        setKnown((last) => ({
          ...(last.subject === subject ? last : { subject }),
          problem: error instanceof Refusal ? error.message : String(error),
        })),
    )
    return () => {
      over = true
    }
  }, [subject, version])
  return known.subject === subject ? known : {}
}

/** Which sections are open; it stays so from one bead to the next. */
const opened = new Set<string>()

interface SectionProps {
  readonly title: string
  readonly note?: ReactNode
  /** Called only while it is open. */
  readonly children: () => ReactNode
}

/** A part of a drawer that is opened when it is wanted. */
export function Section({ title, note, children }: SectionProps) {
  const [isOpen, setOpen] = useState(opened.has(title))
  return (
    <details
      open={isOpen}
      onToggle={(event) => {
        const { open } = event.currentTarget
        if (open) opened.add(title)
        else opened.delete(title)
        setOpen(open)
      }}
    >
      <summary>
        <b>{title}</b> <span className="dim">{note}</span>
      </summary>
      {isOpen && children()}
    </details>
  )
}

/** A fact with its name; nothing when it is not known. */
export function Fact({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  if (children === undefined || children === null || children === false) return null
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  )
}

/** When what a drawer shows was read. */
export function AsOf({ at }: { readonly at: string | undefined }) {
  if (at === undefined) return null
  return (
    <p className="asof dim">
      as of <Ago at={at} /> ago
    </p>
  )
}

interface TextProps {
  readonly label: string
  /** Words of people, not of programs. */
  readonly prose?: boolean
  readonly children: ReactNode
}

/** A text that may be longer than its box. */
export function Text({ label, prose = false, children }: TextProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
    <section className={prose ? 'text prose' : 'text'} tabIndex={0} aria-label={label}>
      {children}
    </section>
  )
}
