import { readError } from '../relay/read-error.ts'

/** Says that something was done. */
export function toastDone(title: string): void {
  void import('sonner').then(({ toast }) => toast.success(title))
}

/** Says what did not work and why; it stays until closed. */
export function toastFailed(title: string, thrown: unknown): void {
  void import('sonner').then(({ toast }) =>
    toast.error(title, {
      description: readError(thrown).message,
      duration: Number.POSITIVE_INFINITY,
      closeButton: true,
    }),
  )
}
