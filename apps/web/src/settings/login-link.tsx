import { Link2 } from 'lucide-react'
import { useState } from 'react'
import { useOfflineReason } from '../relay/connection.ts'
import { trpc } from '../relay/trpc.ts'
import { Button } from '../ui/button.tsx'
import { CopyLine } from '../ui/copy-line.tsx'
import { clockTime } from '../ui/time.tsx'
import { toastFailed } from '../ui/toast.ts'

/** Makes a one-time login link for another device. The code stands in the fragment, which is never sent to a server. */
export function LoginLink() {
  const offline = useOfflineReason()
  const create = trpc.auth.createCode.useMutation()
  const [link, setLink] = useState<{ href: string; expiresAt: string }>()
  const make = async () => {
    try {
      const { code, expiresAt } = await create.mutateAsync()
      setLink({ href: `${window.location.origin}/login#code=${code}`, expiresAt })
    } catch (thrown) {
      toastFailed('The link was not made', thrown)
    }
  }
  return (
    <div className="flex flex-col items-start gap-2">
      <Button onClick={() => void make()} isSending={create.isPending} disabledReason={offline}>
        <Link2 className="icon-14" />
        {link === undefined ? 'Make a login link' : 'Make another link'}
      </Button>
      {link !== undefined && (
        <div className="w-full">
          <CopyLine text={link.href} prompt="" />
          <p className="mt-1.5 text-12 text-ink-3">Good for one login until {clockTime(link.expiresAt)}.</p>
        </div>
      )}
    </div>
  )
}
