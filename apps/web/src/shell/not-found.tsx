import Link from 'next/link'
import { Bar } from './bar.tsx'

/** Says that something is not here, why that may be, and the way back. */
export function NotFound({ title, text }: { title: string; text: string }) {
  return (
    <>
      <Bar title={title} />
      <div className="grid flex-1 place-content-center gap-1 p-5 text-center">
        <p className="font-medium text-ink-2">{text}</p>
        <Link href="/" prefetch={false} className="text-accent">
          To the fleet
        </Link>
      </div>
    </>
  )
}
