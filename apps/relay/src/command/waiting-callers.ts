import type { Command } from '@ai-orchestration/protocol'

/** Those who wait for the end of a command. */
export class WaitingCallers {
  readonly #waiting = new Map<string, PromiseWithResolvers<Command>>()

  /** Resolves with the command once {@link ended} is called for it. @throws what {@link refused} is called with. */
  endOf(commandId: string): Promise<Command> {
    const waiting = this.#waiting.get(commandId) ?? Promise.withResolvers<Command>()
    this.#waiting.set(commandId, waiting)
    return waiting.promise
  }

  /** A command was not accepted after all. */
  refused(commandId: string, error: unknown): void {
    this.#take(commandId)?.reject(error)
  }

  /** A command has ended; who waits is told once that can be told. */
  ended(command: Command, canBeTold: () => Promise<void>): void {
    const waiting = this.#take(command.commandId)
    if (waiting !== undefined) void canBeTold().then(() => waiting.resolve(command))
  }

  #take(commandId: string): PromiseWithResolvers<Command> | undefined {
    const waiting = this.#waiting.get(commandId)
    this.#waiting.delete(commandId)
    return waiting
  }
}
