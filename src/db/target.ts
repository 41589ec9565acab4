/** Where a database is. */
export type ConnectTarget = UrlTarget | EmbeddedTarget

export interface UrlTarget {
  readonly kind: 'url'
  /** Holds the password: never show it. */
  readonly url: string
  /** True when it stood in a file of a working copy: no password of the environment goes where such a URL says. */
  readonly fromFile?: boolean
}

export interface EmbeddedAddress {
  /** Directory of the Unix socket. */
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
}

export interface EmbeddedTarget extends EmbeddedAddress {
  readonly kind: 'embedded'
  /**
   * Starts the server and resolves when it is ready; the address, when it is not the one given. Called once for a request, after
   * nobody answered (ENOENT, ECONNREFUSED). What it throws is what the request answers.
   */
  ensure(): Promise<EmbeddedAddress | undefined>
}
