import { useMemo } from 'react'
import { type DiffAnswer, rpc } from './api.ts'
import { useAnswer } from './drawer.tsx'

const OF = {
  landed: 'as it landed',
  branch: 'as it is in the worktree',
  session: 'as its last session left it',
}

/** What a bead has changed: files with counts, and the patch as far as the server sends it. */
export function Changes({ bead, version }: { readonly bead: string; readonly version: string }) {
  const { answer, problem } = useAnswer<DiffAnswer>(() => rpc({ cmd: 'diff', bead_id: bead }), bead, version)
  const lines = useMemo(() => linesOf(answer?.patch ?? ''), [answer])
  if (!answer) return <p className="dim">{problem ?? 'reading…'}</p>
  return (
    <>
      <p className="dim">
        {OF[answer.of]}: <span className="mono">{answer.base.slice(0, 10)}</span> to{' '}
        <span className="mono">{answer.commit.slice(0, 10)}</span>
      </p>
      <ul className="files">
        {answer.files.map(({ path, added, removed }) => (
          <li key={path}>
            <span className="mono">{path}</span>
            {added === undefined ? (
              <span className="dim">no text</span>
            ) : (
              <span>
                <span className="add">+{added}</span> <span className="del">−{removed}</span>
              </span>
            )}
          </li>
        ))}
        {answer.more_files && <li className="dim">and more</li>}
      </ul>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section className="text patch" tabIndex={0} aria-label={`patch of ${bead}`}>
        {lines.map(({ kind, text }, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines have no other name
          <span key={at} className={kind}>
            {text}
            {'\n'}
          </span>
        ))}
      </section>
      {answer.cut && <p className="dim">It goes on; `swarm diff` and git show all of it.</p>}
    </>
  )
}

interface Line {
  readonly kind: 'add' | 'del' | 'hunk' | 'file' | 'same'
  readonly text: string
}

/** Neighbours of one kind are one piece: thousands of lines are not thousands of elements. */
function linesOf(patch: string): readonly Line[] {
  const pieces: Line[] = []
  let inHeader = false
  for (const text of patch.split('\n')) {
    if (text.startsWith('diff --git ')) inHeader = true
    const kind: Line['kind'] = text.startsWith('@@')
      ? 'hunk'
      : inHeader
        ? 'file'
        : text.startsWith('+')
          ? 'add'
          : text.startsWith('-')
            ? 'del'
            : 'same'
    if (kind === 'hunk') inHeader = false
    const last = pieces.at(-1)
    if (last?.kind === kind) pieces[pieces.length - 1] = { kind, text: `${last.text}\n${text}` }
    else pieces.push({ kind, text })
  }
  return pieces
}
