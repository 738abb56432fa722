import type { ChatHead } from '@ai-orchestration/protocol'
import type { AgentUpdate } from './agent-frames.ts'
import type { ConversationNote } from './conversation-note.ts'
import { chatOptions } from './options.ts'

/** How a conversation stands, by what is known of it. */
export function stateOf({ phase, pending, forms, running }: ConversationNote): ChatHead['state'] {
  if (phase === 'ended') return 'ended'
  if (phase === 'opening') return 'starting'
  if (pending.length > 0 || forms.length > 0) return 'needs_input'
  return running === undefined ? 'idle' : 'working'
}

/** Takes in what an update says of anything but the conversation's entries. */
export function applyToHead(update: AgentUpdate, head: ChatHead): void {
  switch (update.sessionUpdate) {
    case 'available_commands_update':
      head.commands = update.availableCommands
        .slice(0, 200)
        .map(({ name, description }) => ({ name: name.slice(0, 100), description: description.slice(0, 300) }))
      return
    case 'config_option_update':
      head.options = chatOptions({ configOptions: update.configOptions })
      return
    case 'current_mode_update':
      head.options = head.options.map((option) =>
        option.category === 'mode' ? { ...option, value: update.currentModeId } : option,
      )
      return
    case 'session_info_update':
      if (update.title != null) head.title = update.title.slice(0, 200)
      return
    case 'usage_update':
      head.usage = {
        usedTokens: update.used,
        contextTokens: update.size,
        ...(update.cost == null ? {} : { cost: { amount: update.cost.amount, currency: update.cost.currency } }),
      }
      return
    case 'agent_message_chunk':
    case 'agent_thought_chunk':
    case 'user_message_chunk':
    case 'tool_call':
    case 'tool_call_update':
    case 'plan':
      return
    default:
      update satisfies never
  }
}
