import type { Readable, Writable } from 'node:stream'
import type { AdapterName, AgentSettings } from '../contract/agents-config.ts'
import type { Exit } from '../process/index.ts'
import type { AgentEvent, ResultEvent } from './events.ts'

/** A server of tools that the program starts itself and talks to over stdin and stdout. */
export interface McpServer {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** What one session is to do, and where. */
export interface SessionOrders {
  readonly settings: AgentSettings
  readonly prompt: string
  /** Where the agent works; a session is resumed in the same directory only. */
  readonly cwd: string
  /** Directories of this session alone; made when they are missing. */
  readonly home: string
  readonly tmp: string
  /** The operator's PATH. */
  readonly path: string
  /** Variables of the orchestrator (`SWARM_AGENT_ID`); before those of the settings. */
  readonly env?: Readonly<Record<string, string>>
  /** The operator's own environment, of which `pass_env` names the variables that are taken. */
  readonly operatorEnv?: Readonly<Record<string, string | undefined>>
  /** The program's own id of an earlier session that shall go on. */
  readonly resume?: string
  /** What all its processes carry in their environment; a new one unless said. */
  readonly marker?: string
  readonly mcp?: readonly McpServer[]
}

/** How a program is started. */
export interface Launch {
  /** Program and arguments. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Written into the session's HOME before, by their path in it. */
  readonly files?: readonly { readonly path: string; readonly text: string }[]
  /** Files in the operator's HOME that hold the login. */
  readonly loginFiles?: readonly string[]
}

/** What was found out about a program without the network. */
export type Probe =
  | {
      readonly usable: true
      readonly program: string
      readonly version: string | undefined
      /** `unknown` where only the service could tell. */
      readonly login: 'yes' | 'no' | 'unknown'
    }
  | {
      readonly usable: false
      readonly why: 'not_installed' | 'too_old' | 'broken'
      readonly detail: string
    }

export interface ProbeOrders {
  readonly settings: AgentSettings
  readonly path: string
  readonly operatorEnv: Readonly<Record<string, string | undefined>>
}

/** What is said to a question or a permission request. */
export type Answer =
  | { readonly kind: 'allow' }
  | { readonly kind: 'deny'; readonly reason?: string }
  | { readonly kind: 'text'; readonly text: string }

/** The streams of a program that runs, and where its events go. */
export interface Wires {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  emit(event: AgentEvent): void
  /** Resolves when the reader of the events can take more. */
  room(): Promise<void>
}

/** A conversation with a program that runs. What it cannot do it answers with false. */
export interface Conversation {
  /** Reads the program's output to its end. */
  readonly drained: Promise<void>
  /** Another prompt, or a word to the one that is being worked on. */
  send(text: string): boolean
  answer(id: string, answer: Answer): boolean
  /** Stops the work on the current prompt by the program's own protocol. */
  interrupt(): boolean
  /** Nothing more will be said: a program that waits for it may go. */
  close(): void
  /** What the exit says of a prompt that has no result: only for programs that have no last event. */
  exited?(exit: Exit): ResultEvent | undefined
}

/** One kind of agent program. */
export interface Adapter {
  readonly name: AdapterName
  /** False: a prompt can only be given at the start. */
  readonly steers: boolean
  /** False: the program says nothing when a tool begins, so one may be open whenever it is silent. True unless said. */
  tellsTools?(settings: AgentSettings): boolean
  probe(orders: ProbeOrders): Promise<Probe>
  launch(orders: SessionOrders): Launch | Promise<Launch>
  converse(orders: SessionOrders, wires: Wires, launch: Launch): Conversation
  /**
   * Ms that each step of the stop order may take; without `interruptMs` the first step is SIGTERM. `lingers` is false for a program
   * that does not leave by itself when it is done.
   */
  readonly stop: { readonly interruptMs?: number; readonly graceMs: number; readonly lingers?: false }
}
