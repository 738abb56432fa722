/** The JSON of a result that carries an item under an id that a client resumes behind, as tRPC's `tracked` is sent. */
export function trackedText(trackedId: string, item: unknown): string {
  const id = JSON.stringify(trackedId)
  return `{"type":"data","id":${id},"data":{"id":${id},"data":${JSON.stringify(item)}}}`
}
