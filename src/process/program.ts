import type { Readable, Writable } from 'node:stream'
import { rememberGroup, signalGroup } from './group.ts'
import { MARKER_NAME } from './marker.ts'
import { type Argv, type Exit, startChild } from './spawn.ts'

export interface ProgramOptions {
  readonly argv: Argv
  readonly cwd: string
  /** The whole environment besides PWD and the marker: nothing of this process's own is added. */
  readonly env: Readonly<Record<string, string>>
  /** Put into the environment of the program and so of everything that it starts. */
  readonly marker: string
}

/** A program that runs in a group of its own, with an environment built from nothing. */
export interface Program {
  readonly pid: number
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  readonly exited: Promise<Exit>
  /** Signals the whole group. */
  signal(signal: NodeJS.Signals): void
}

/** Starts a program; resolves once it runs. A missing binary or directory is DEPENDENCY. */
export async function startProgram({ argv, cwd, env, marker }: ProgramOptions): Promise<Program> {
  const child = await startChild(argv, {
    cwd,
    // some programs believe PWD and not their directory
    env: { ...env, PWD: cwd, [MARKER_NAME]: marker },
    detached: true,
    stderr: 'pipe',
  })
  const { pid, stdin, stdout, stderr, exited } = child
  if (!stderr) throw new Error('stderr was asked for and is not there')
  rememberGroup(pid)
  return { pid, stdin, stdout, stderr, exited, signal: (signal) => void signalGroup(pid, signal) }
}
