import type { Cli } from '../cli.ts'
import { chatText } from '../output/chat-text.ts'
import { findSessionId } from '../session-id.ts'

/** `aio logs <session> --chat [--follow]`: the last entries of its conversation, oldest first. */
export async function showChat(cli: Cli, session: string, options: { follow?: boolean }): Promise<void> {
  await using aio = await cli.connect()
  const sessionId = await cli.within(findSessionId(aio, session))
  await using chat = await cli.within(aio.chat(sessionId))
  const shown = new Map<string, string>()
  for await (const item of chat) {
    if (item.type === 'head' || (!chat.view.isLive && item.type !== 'live')) continue
    for (const entry of chat.view.entries) {
      const text = chatText(entry)
      if (shown.get(entry.id) === text) continue
      // While a message grows it is told at its end, by what follows.
      const isGrowing =
        entry.type === 'message' && chat.view.head?.state === 'working' && entry === chat.view.entries.at(-1)
      if (isGrowing) continue
      shown.set(entry.id, text)
      cli.out.result(entry, () => text)
    }
    if (options.follow !== true) break
  }
}
