import type { SwarmConfig } from '../contract/config.ts'

/** What of a configuration names a server or a command. It does nothing until the user has trusted it. */
export interface ActiveKeys {
  readonly database_url?: string
  readonly listen_url?: string
  /** The words of each gate, by `<workflow>.<stage>`. */
  readonly gates?: Readonly<Record<string, readonly string[]>>
  /** How the sessions of each role are run: all of it decides what is run. */
  readonly agents?: NonNullable<SwarmConfig['agents']>
  /** What decides who works on which bead, by which workflow and with which program. */
  readonly rules?: NonNullable<SwarmConfig['rules']>
  /** The SHA-256 of what agents are told at a stage, by stage, and how many characters that are. */
  readonly prompts?: Readonly<Record<string, string>>
  /** What makes and removes the workspaces of beads. */
  readonly workspace?: NonNullable<SwarmConfig['orchestrator']>['workspace_command']
  /** Where landed commits are pushed to. */
  readonly push?: string
  /** How pull requests are opened and asked for; what is not named is done with `gh`. */
  readonly pull_requests?: NonNullable<NonNullable<SwarmConfig['landing']>['pull_request']>
  /** Who is told what happens, and where requests go to. */
  readonly notify?: NonNullable<SwarmConfig['notify']>
  /** Whose word `swarm serve` takes for where a request comes from and was meant for. */
  readonly proxies?: readonly string[]
}
