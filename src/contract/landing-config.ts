import * as z from 'zod'
import { text } from './fields.ts'

const ms = (most: number) => z.int().min(100).max(most)
const command = z.array(z.string().min(1).max(4_096)).min(1).max(64)

/** `[landing.pull_request]`: the commands of a forge. Active keys: nothing of them runs until trusted. */
export const pullRequestSchema = z.strictObject({
  open: command
    .optional()
    .describe(
      'opens a pull request for a branch that was pushed, its text on stdin; its last line of output is the address; in its words {branch}, {target}, {remote}, {bead}, {head} and {title} are replaced; `gh pr create …` by default',
    ),
  state: command
    .optional()
    .describe(
      'how the pull request of {branch} stands ({target}, {remote}, {bead}, {head} and {url} are replaced, too): a JSON object or a list of them with state (open, merged, closed), url, headRefOid, mergeCommit and feedback, or one of the words none, open, merged, closed; `gh pr list …` by default',
    ),
  check: command
    .optional()
    .describe(
      'exits with 0 when the others can work; asked before a run starts; `gh auth status` by default',
    ),
  poll_ms: ms(3_600_000)
    .optional()
    .describe('how soon it is asked again at first, ten times as long in the end; 30,000 by default'),
  timeout_ms: ms(600_000).optional().describe('how long each of them may take; 60,000 by default'),
})

/** `[landing]` of `.swarm/config.toml`: where finished work goes. */
export const landingSchema = z
  .strictObject({
    target: text(200)
      .optional()
      .describe('the branch that work lands on; the one that is checked out by default'),
    remote: text(200)
      .optional()
      .describe(
        'a remote that every landed commit is pushed to; with mode pull_request the one that branches are pushed to',
      ),
    window: z
      .int()
      .min(1)
      .max(64)
      .optional()
      .describe('how many candidates are tested at once; 8 by default'),
    mode: z
      .enum(['merge', 'pull_request'])
      .optional()
      .describe(
        'merge: swarm moves the target branch itself (by default); pull_request: it opens one for each bead, which has landed when that is merged',
      ),
    pull_request: pullRequestSchema.optional(),
  })
  .superRefine((landing, ctx) => {
    if (landing.mode === 'pull_request' && landing.remote === undefined)
      ctx.addIssue({
        code: 'custom',
        path: ['remote'],
        message: 'mode = "pull_request" needs the name of the remote that branches are pushed to',
      })
  })

export type LandingConfig = z.output<typeof landingSchema>
export type PullRequestConfig = z.output<typeof pullRequestSchema>
