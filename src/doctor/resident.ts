import { isOwn, isRead, socketOf } from '../root/run-dir.ts'
import { type Check, good } from './types.ts'

/** Whether a process that is there anyway answers one-shot calls in the root at `path`; none is no fault. */
export async function checkResident(path: string): Promise<Check> {
  const { dir, socket } = socketOf(path)
  const there = isOwn(dir, 'directory') && isOwn(socket, 'socket') && (await isRead(socket))
  return good(
    'resident',
    there ? `one-shot calls are answered at ${socket}` : 'none: each one-shot call runs by itself',
  )
}
