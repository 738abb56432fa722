// Loaded into every server under test with --import: answers the parent's questions about what the process has used.
const { gc } = globalThis

process.on('message', (question: unknown) => {
  if (question === 'settled') gc?.() // twice: the first pass may leave what finalizers let go
  if (question === 'settled') gc?.()
  const { rss, heapUsed, external } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  process.send?.({ cpuUs: user + system, rssBytes: rss, heapBytes: heapUsed + external })
})
process.channel?.unref() // it must not keep a server alive that wants to end
