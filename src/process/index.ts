export { type BoundedText, tailOf } from './bounded.ts'
export { type CommandOptions, type CommandResult, runCommand } from './command.ts'
export { drain } from './drain.ts'
export {
  type EndSessionOptions,
  endMarked,
  endSession,
  type LeftProcess,
  type SessionEnding,
} from './end-session.ts'
export { childEnvironment, type Environment } from './environment.ts'
export { type GatePlace, operatorPath, type ResolvedGate, resolveGate } from './gate-path.ts'
export { type LivenessDelta, type LivenessSample, livenessDelta, sampleLiveness } from './liveness.ts'
export {
  findMarked,
  MARKER_NAME,
  type MarkedProcess,
  makerOf,
  markersInUse,
  newMarker,
} from './marker.ts'
export { type Peer, type PeerOptions, spawnPeer } from './peer.ts'
export { processesWithin } from './proc.ts'
export { type Program, type ProgramOptions, startProgram } from './program.ts'
export type { Argv, Exit } from './spawn.ts'
export { standingOfProcess, thisProcess } from './who.ts'
export { within } from './within.ts'
