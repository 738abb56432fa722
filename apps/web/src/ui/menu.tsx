import { DropdownMenu as Radix } from 'radix-ui'
import type { ReactNode } from 'react'

/** One entry of a {@link Menu}. */
export interface MenuItem {
  id: string
  label: string
  /** Small text below it. */
  note?: string | undefined
  act: () => void
}

/** A menu that its child opens; arrows, letters and Esc work in it. */
export function Menu(props: {
  label: string
  items: readonly MenuItem[]
  isOpen?: boolean
  onOpenChange?: (isOpen: boolean) => void
  children: ReactNode
}) {
  return (
    <Radix.Root
      modal={false}
      {...(props.isOpen === undefined ? {} : { open: props.isOpen })}
      {...(props.onOpenChange === undefined ? {} : { onOpenChange: props.onOpenChange })}
    >
      <Radix.Trigger asChild>{props.children}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          aria-label={props.label}
          align="end"
          sideOffset={4}
          collisionPadding={8}
          className="animate-fade z-[60] min-w-52 max-w-[min(340px,calc(100vw-24px))] rounded-4 border border-line-3 bg-overlay p-1 shadow-pop"
        >
          {props.items.map((item) => (
            <Radix.Item
              key={item.id}
              onSelect={item.act}
              className="cursor-default rounded-2 px-2 py-1.5 text-13 outline-none data-[highlighted]:bg-surface-4 data-[highlighted]:shadow-none max-md:py-2.5 max-md:text-15"
            >
              {item.label}
              {item.note !== undefined && <span className="block text-12 text-ink-3">{item.note}</span>}
            </Radix.Item>
          ))}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}
