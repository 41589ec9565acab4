import { maskWords } from '../contract/secrets.ts'

/** A request as the database keeps it: in the words of a command, passwords are masked. The same every time, since it is also the operation's identity. */
export function auditable(args: object): object {
  if (!('command' in args) || !Array.isArray(args.command)) return args
  return { ...args, command: maskWords(args.command.map(String)) }
}
