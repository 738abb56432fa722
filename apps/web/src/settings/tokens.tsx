import type { Role, TokenInfo } from '@ai-orchestration/protocol'
import { type FormEvent, useState } from 'react'
import { useOfflineReason } from '../relay/connection.ts'
import { trpc } from '../relay/trpc.ts'
import { useMe } from '../relay/use-fleet.ts'
import { Button } from '../ui/button.tsx'
import { CopyLine } from '../ui/copy-line.tsx'
import { cx } from '../ui/cx.ts'
import { Input } from '../ui/field.tsx'
import { Segments } from '../ui/segments.tsx'
import { Age } from '../ui/time.tsx'
import { toastFailed } from '../ui/toast.ts'

const ROLES: readonly { id: Exclude<Role, 'enroll'>; label: string }[] = [
  { id: 'viewer', label: 'Viewer' },
  { id: 'operator', label: 'Operator' },
  { id: 'admin', label: 'Admin' },
  { id: 'orchestrator', label: 'Orchestrator' },
]

/** Lists, makes and revokes tokens; admins only. */
export function Tokens() {
  const list = trpc.tokens.list.useQuery()
  const active = (list.data ?? []).filter((each) => each.revokedAt === undefined)
  return (
    <div className="flex flex-col gap-3">
      <NewToken />
      {list.isError && <p className="text-12 text-failed">The tokens could not be loaded. {list.error.message}</p>}
      {active.length > 0 && (
        <ul className="overflow-hidden rounded-4 border border-line-2 bg-surface-2">
          {active
            .toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : -1))
            .map((token) => (
              <TokenRow key={token.id} token={token} />
            ))}
        </ul>
      )}
    </div>
  )
}

function NewToken() {
  const utils = trpc.useUtils()
  const create = trpc.tokens.create.useMutation({ onSuccess: () => utils.tokens.list.invalidate() })
  const offline = useOfflineReason()
  const [name, setName] = useState('')
  const [role, setRole] = useState<Exclude<Role, 'enroll'>>('operator')
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (name.trim() === '') return
    try {
      await create.mutateAsync({ name: name.trim(), role })
      setName('')
    } catch (thrown) {
      toastFailed('The token was not made', thrown)
    }
  }
  return (
    <>
      <form onSubmit={(event) => void submit(event)} className="flex flex-wrap items-center gap-2">
        <Input
          aria-label="Name of the new token"
          placeholder="What is it for?"
          value={name}
          onChange={(event) => setName(event.target.value)}
          frameClassName="!h-7 min-w-48 flex-1 max-md:!h-11 max-md:basis-full max-md:flex-none"
        />
        <Segments label="Role" options={ROLES} value={role} onChange={setRole} />
        <Button
          type="submit"
          isSending={create.isPending}
          disabledReason={offline ?? (name.trim() === '' ? 'Name it first' : undefined)}
        >
          Create token
        </Button>
      </form>
      {create.data !== undefined && (
        <div>
          <CopyLine text={create.data.token} prompt="" />
          <p className="mt-1.5 text-12 text-ink-3">
            The token of {create.data.info.name}. It is shown this once: copy it now.
          </p>
        </div>
      )}
    </>
  )
}

function TokenRow({ token }: { token: TokenInfo }) {
  const me = useMe()
  const utils = trpc.useUtils()
  const revoke = trpc.tokens.revoke.useMutation({ onSuccess: () => utils.tokens.list.invalidate() })
  const offline = useOfflineReason()
  const [isAsked, setAsked] = useState(false)
  const isMine = me?.tokenId === token.id
  const act = async () => {
    try {
      await revoke.mutateAsync({ tokenId: token.id })
    } catch (thrown) {
      toastFailed(`${token.name} was not revoked`, thrown)
    }
  }
  return (
    <li className="flex min-h-10 flex-wrap items-center gap-x-3 border-b border-line-1 px-3.5 py-1.5 last:border-b-0">
      <span className="min-w-0 truncate font-medium">{token.name}</span>
      <span className={cx('rounded-2 border border-line-2 px-1.5 text-11 text-ink-2')}>{token.role}</span>
      {token.projects !== undefined && <span className="text-12 text-ink-3">in {token.projects.join(', ')}</span>}
      {token.orchestrators !== undefined && token.role !== 'orchestrator' && (
        <span className="text-12 text-ink-3">
          on {token.orchestrators.length === 1 ? 'one machine' : `${token.orchestrators.length} machines`}
        </span>
      )}
      {isMine && <span className="text-12 text-ink-3">this device</span>}
      <span className="flex-1" />
      <span className="text-12 text-ink-3">
        {token.lastUsedAt === undefined ? (
          <>
            made <Age at={token.createdAt} isLong /> ago
          </>
        ) : (
          <>
            used <Age at={token.lastUsedAt} isLong /> ago
          </>
        )}
      </span>
      {isAsked ? (
        <span className="flex gap-1.5">
          <Button
            size="sm"
            kind="danger"
            isSending={revoke.isPending}
            disabledReason={offline}
            onClick={() => void act()}
          >
            Revoke
          </Button>
          <Button size="sm" kind="ghost" autoFocus onClick={() => setAsked(false)}>
            Keep
          </Button>
        </span>
      ) : (
        <Button size="sm" kind="ghost" disabledReason={offline} onClick={() => setAsked(true)}>
          Revoke
        </Button>
      )}
    </li>
  )
}
