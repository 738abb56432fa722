/** Whose a project name is: who had it first, then whoever else has it. */
export class ProjectNames {
  readonly #claims = new Map<string, string[]>()

  /** The machine that a name belongs to. */
  ownerOf(name: string): string | undefined {
    return this.#claims.get(name)?.[0]
  }

  /** A machine has a project of this name. */
  claim(name: string, orchestratorId: string): void {
    const claims = this.#claims.get(name) ?? []
    if (!claims.includes(orchestratorId)) claims.push(orchestratorId)
    this.#claims.set(name, claims)
  }

  /** A machine has it no more. @returns the machine that now owns the name because of that, if there is one. */
  release(name: string, orchestratorId: string): string | undefined {
    const claims = this.#claims.get(name) ?? []
    const rest = claims.filter((id) => id !== orchestratorId)
    if (rest.length === 0) this.#claims.delete(name)
    else this.#claims.set(name, rest)
    return claims[0] === orchestratorId ? rest[0] : undefined
  }
}
