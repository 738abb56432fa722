import { useEffect, useState, useSyncExternalStore } from 'react'
import { clientGeneration } from '../relay/relay-client.ts'
import { ChatFeed, type ChatState, NO_CHAT } from './chat-feed.ts'

/** Watches a session's conversation while it is shown. */
export function useChat(sessionId: string): { chat: ChatState; feed: ChatFeed | undefined } {
  const generation = useSyncExternalStore(clientGeneration.subscribe, clientGeneration.get, () => 0)
  const [chat, setChat] = useState<ChatState>(NO_CHAT)
  const [feed, setFeed] = useState<ChatFeed>()
  useEffect(() => {
    // A person who asked to reconnect gets a new connection, and with it a new watcher.
    if (generation < 0) return
    const made = new ChatFeed(sessionId, setChat)
    setFeed(made)
    return () => made.stop()
  }, [sessionId, generation])
  return { chat, feed }
}
