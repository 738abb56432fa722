import type { Cli, GlobalFlags } from './cli.ts'

/** What a command does; a number it answers is the exit code, anything else means done. */
export type Action = (cli: Cli) => Promise<unknown>

/** Runs one command and sets the exit code; `failed` is the code of our own failures where the contract says another. */
export type Runner = (flags: GlobalFlags, action: Action, options?: { failed?: number }) => Promise<void>
