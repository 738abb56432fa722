import { parseCloneUrl } from '@ai-orchestration/protocol'

/** What the shared rule says of a repository URL while it is typed. */
export type CloneUrlCheck =
  | { isValid: true; inferredName: string | undefined; isLocal: boolean }
  | { isValid: false; message: string }

/** Checks a repository URL by the one shared rule. */
export function checkCloneUrl(text: string): CloneUrlCheck {
  try {
    const parsed = parseCloneUrl(text)
    return { isValid: true, inferredName: parsed.inferredName, isLocal: parsed.kind === 'local' }
  } catch (thrown) {
    return { isValid: false, message: thrown instanceof Error ? thrown.message : String(thrown) }
  }
}
