/**
 * Conformance fixtures: one file for each example. Every `send` is followed by the `expect` that its envelope must match; sent
 * to an empty repo, in order. Lines of a stream, which have `more`, come before it.
 */

/** The text of the fixture of one example. */
export function fixtureText({ given = [], in: request, out }) {
  const lines = [
    ...given.flatMap((send) => [{ send }, { expect: { ok: true } }]),
    { send: request },
    { expect: { ok: true, d: out } },
  ]
  return `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`
}
