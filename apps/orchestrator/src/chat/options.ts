import type { ChatOption } from '@ai-orchestration/protocol'
import type { AgentOption, SessionOpened } from './agent-frames.ts'
import { MODE_OPTION } from './mode-option.ts'

/** The settings an agent offers, whichever of the protocol's two ways it offers them in. */
export function chatOptions(offer: Pick<SessionOpened, 'configOptions' | 'modes'>): ChatOption[] {
  const options = (offer.configOptions ?? []).flatMap(fromConfigOption)
  const { modes } = offer
  if (modes == null || options.some(({ category }) => category === 'mode')) return options
  const mode: ChatOption = {
    ...{ id: MODE_OPTION, name: 'Mode', category: 'mode', value: modes.currentModeId },
    values: modes.availableModes.map(({ id, name, description }) => ({
      ...{ id, name },
      ...(description == null ? {} : { description }),
    })),
  }
  return [mode, ...options]
}

function fromConfigOption({ id, name, category, currentValue, options }: AgentOption): ChatOption[] {
  if (typeof currentValue === 'boolean' || options === undefined) return []
  const values = options.flatMap((option) => ('value' in option ? [option] : option.options))
  return [
    {
      ...{ id, name, value: currentValue },
      ...(category == null ? {} : { category }),
      values: values.slice(0, 100).map(({ value, name: label, description }) => ({
        ...{ id: String(value), name: String(label) },
        ...(typeof description === 'string' ? { description: description.slice(0, 300) } : {}),
      })),
    },
  ]
}
