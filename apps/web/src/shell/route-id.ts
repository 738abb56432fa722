import { useRouter } from 'next/router'

/** The id in the address of a project's or session's page; `undefined` until the address has been read. */
export function useRouteId(): string | undefined {
  const { isReady, query } = useRouter()
  const id = query['id']
  return isReady && typeof id === 'string' ? id : undefined
}
