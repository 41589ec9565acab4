import type { Catalog } from '../../contract/command.ts'
import type { SwarmError } from '../../contract/errors.ts'
import type { McpEndpoint } from '../mcp/http.ts'
import type { Callers } from './callers.ts'
import type { Metrics } from './metrics.ts'
import type { Pages } from './pages.ts'
import type { Rate } from './rate.ts'
import type { Site } from './site.ts'
import type { Streams } from './stream/streams.ts'

/** What the app is made of. */
export interface AppParts {
  readonly catalog: Catalog
  readonly site: Site
  readonly callers: Callers
  /** Of the listening socket; known once it listens. */
  readonly port: () => number
  readonly maxBodyBytes: number
  readonly rate: Rate
  /** Requests with tokens that are not known to be good, by address. */
  readonly strangers: Rate
  /** File of the OpenAPI document. */
  readonly openApi: string
  readonly repo: string
  /** Whether the repo asks for tokens. */
  readonly tokens: boolean
  readonly metrics: Metrics
  readonly streams: Streams
  /** The built page, at `/`. */
  readonly pages: Pages
  /** Loaded when it is first asked for. */
  readonly mcp: () => Promise<McpEndpoint>
  /** Says whether the database answers, and is at the schema of this program. */
  readonly ready: () => Promise<SwarmError | undefined>
}
