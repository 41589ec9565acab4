/**
 * Checks of the official conformance suite that this server does not pass, by the reason. The suite tests a server that is made for it:
 * most of its scenarios call tools, read resources and get prompts of fixed names, which a server with a purpose has not. What fails and
 * stands in no list here is a fault of ours, and so is what stands here and passes.
 */
export interface Expected {
  readonly reason: string
  /** `scenario/check`. */
  readonly checks: readonly string[]
}

const of = (scenario: string, ...checks: readonly string[]) =>
  (checks.length > 0 ? checks : [scenario]).map((check) => `${scenario}/${check}`)

const TOOLS: Expected = {
  reason:
    'calls a tool of the suite (test_image_content, test_tool_with_progress, …) that only a server made for it has',
  checks: [
    ...of('tools-call-image'),
    ...of('tools-call-audio'),
    ...of('tools-call-embedded-resource'),
    ...of('tools-call-mixed-content'),
    ...of('tools-call-with-progress'),
    ...of('json-schema-2020-12', 'json-schema-2020-12-tool-found'),
  ],
}

const PLACES: Expected = {
  reason: 'reads a resource or gets a prompt of the suite (test://static-text, test_simple_prompt, …)',
  checks: [
    ...of('resources-read-text'),
    ...of('resources-read-binary'),
    ...of('resources-templates-read'),
    ...of('prompts-get-simple'),
    ...of('prompts-get-with-args'),
    ...of('prompts-get-embedded-resource'),
    ...of('prompts-get-with-image'),
  ],
}

const COMPLETION: Expected = {
  reason: 'optional: arguments are not completed, since no client shows that for tools',
  checks: of('completion-complete'),
}

/** What version 0.1.13 checks, of the revisions up to 2025-11-25. */
export const EXPECTED_2025: readonly Expected[] = [
  TOOLS,
  PLACES,
  COMPLETION,
  {
    reason: 'optional: the server logs to stderr, and asks its client neither for a model nor for a form',
    checks: [
      ...of('logging-set-level'),
      ...of('tools-call-with-logging'),
      ...of('tools-call-sampling'),
      ...of('tools-call-elicitation'),
      ...of('elicitation-sep1034-defaults', 'elicitation-sep1034-general'),
      ...of('elicitation-sep1330-enums', 'elicitation-sep1330-general'),
    ],
  },
  {
    reason:
      'HTTP is served without sessions: before 2026-07-28 there is no stream to tell of changes on, and none to go on with (`swarm mcp` has resources/subscribe)',
    checks: [
      ...of('resources-subscribe'),
      ...of('resources-unsubscribe'),
      ...of('server-sse-polling', 'incoming-sse-event'),
    ],
  },
]

/** What version 0.2.0-alpha.12 requires of the revision 2026-07-28, with what it runs besides and does not score. */
export const EXPECTED_2026: readonly Expected[] = [
  TOOLS,
  PLACES,
  COMPLETION,
  {
    reason:
      'calls test_missing_capability, a tool of the suite that needs sampling; ours need nothing of a client',
    checks: of(
      'server-stateless',
      'sep-2575-server-rejects-undeclared-capability',
      'sep-2575-missing-capability-http-400',
    ),
  },
  {
    reason:
      'calls a tool of the suite that answers with a request for input; ours never ask their client for any',
    checks: [
      ...of('input-required-result-basic-elicitation', 'sep-2322-elicitation-incomplete'),
      ...of('input-required-result-basic-sampling', 'sep-2322-sampling-incomplete'),
      ...of('input-required-result-basic-list-roots', 'sep-2322-list-roots-incomplete'),
      ...of('input-required-result-request-state', 'sep-2322-request-state-incomplete'),
      ...of('input-required-result-multiple-input-requests', 'sep-2322-multiple-inputs-incomplete'),
      ...of('input-required-result-multi-round', 'sep-2322-multi-round-r1'),
      ...of('input-required-result-non-tool-request', 'sep-2322-non-tool-incomplete'),
      ...of('input-required-result-result-type', 'sep-2322-result-type-included'),
      ...of('input-required-result-tampered-state', 'sep-2322-reject-tampered-state'),
      ...of('input-required-result-capability-check', 'sep-2322-respect-client-capabilities'),
    ],
  },
  {
    reason:
      'not scored; needs a tool whose arguments go along as headers, and none of ours is routed by its arguments',
    checks: of(
      'http-custom-header-server-validation',
      'sep-2243-server-no-xmcp-tool',
      'sep-2243-server-decode-base64',
      'sep-2243-server-validate-param-match',
      'sep-2243-server-reject-invalid-param-chars',
      'sep-2243-server-reject-param-mismatch',
    ),
  },
  {
    reason:
      'not scored; the extension for tasks: what takes long is a bead here, and a wait has its own bound',
    checks: [
      ...of(
        'tasks-lifecycle',
        'sep-2663-result-type-task-on-create',
        'sep-2663-tasks-get-status-working',
        'sep-2663-tasks-get-status-completed',
        'sep-2663-tool-error-uses-completed-status',
        'sep-2663-tasks-get-status-failed',
        'sep-2663-cancel-ack-empty-result',
        'tasks-cancel-terminal-idempotent-ack',
      ),
      ...of(
        'tasks-capability-negotiation',
        'tasks-extension-advertised',
        'sep-2663-tasks-methods-non-declaring',
        'tasks-per-request-meta-opt-in',
      ),
      ...of(
        'tasks-wire-fields',
        'tasks-wire-field-renames',
        'tasks-no-early-ttl-expiry',
        'tasks-no-related-task-meta-on-inlined-result',
      ),
      ...of('tasks-request-state-removal', 'tasks-request-state-removal-setup'),
      ...of(
        'tasks-mrtr-input',
        'sep-2663-tasks-get-status-input-required',
        'tasks-mrtr-tasks-update-resumes',
        'tasks-mrtr-partial-fulfillment',
      ),
      ...of(
        'tasks-request-headers',
        'tasks-headers-tolerate-mcp-method-on-tools-call',
        'sep-2663-routing-headers-accepted-on-tasks-get',
        'sep-2663-server-rejects-mismatched-mcp-name-on-tasks-get',
      ),
      ...of(
        'tasks-dispatch-and-envelope',
        'tasks-server-directed-creation-no-hint',
        'sep-2663-durable-create-strong-consistency',
        'sep-2663-tasks-get-invalid-task-id-32602',
      ),
      ...of('tasks-required-task-error', 'sep-2663-server-returns-missing-capability-when-required'),
      ...of('tasks-mrtr-composition', 'sep-2663-mrtr-synchronous-before-task-creation'),
    ],
  },
]
