import type { Exchange } from './exchange.ts'
import { type FieldAnswer, type FormField, fieldsOf, formRequestSchema, formResult } from './form.ts'
import type { PersonQuestion } from './permission-desk.ts'

/** Most things that one form may ask for. */
const FIELDS_MAX = 10

/** The agent's own questions, each field of a form asked by itself; the form is answered when all of them are. */
export class Forms {
  readonly #exchange: Exchange

  constructor(exchange: Exchange) {
    this.#exchange = exchange
  }

  /** Asks what the agent asks, within a change. @returns false when it cannot be understood. */
  take(rpcId: number | string, params: unknown): boolean {
    const request = formRequestSchema.safeParse(params)
    if (!request.success) return false
    const fields = fieldsOf(request.data).slice(0, FIELDS_MAX)
    const asked = fields.map((field, index) => ({
      field,
      questionId: this.#exchange.desk.askPerson(this.#questionOf(rpcId, index, field)),
    }))
    this.#exchange.note.forms.push({ rpcId, asked })
    return true
  }

  /** Hands over every form that is answered, within a change. */
  answer(): void {
    const { note } = this.#exchange
    note.forms = note.forms.filter((form) => {
      const answers = form.asked.map((asked, index) => this.#answerOf(form.rpcId, index, asked))
      if (answers.includes(undefined)) return true
      const given = answers.flatMap((answer) => (answer === undefined || answer === 'gone' ? [] : [answer]))
      const result =
        given.length < answers.length
          ? { action: 'cancel' }
          : formResult(
              form.asked.map(({ field }) => field),
              given,
            )
      this.#exchange.send({ id: form.rpcId, result })
      return false
    })
  }

  /** Takes all questions back, within a change. @param isHeard whether the agent is there to be told. */
  drop(isHeard: boolean): void {
    const { note, desk } = this.#exchange
    for (const { rpcId, asked } of note.forms) {
      for (const { questionId } of asked) desk.withdraw(questionId)
      if (isHeard) this.#exchange.send({ id: rpcId, result: { action: 'cancel' } })
    }
    note.forms = []
  }

  #answerOf(
    rpcId: number | string,
    index: number,
    asked: { field: FormField; questionId: string },
  ): FieldAnswer | 'gone' | undefined {
    const question = this.#questionOf(rpcId, index, asked.field)
    const answer = this.#exchange.desk.answerOfPerson({ ...question, id: asked.questionId })
    if (answer !== 'unknown') return answer
    asked.questionId = this.#exchange.desk.askPerson(question)
    return undefined
  }

  #questionOf(rpcId: number | string, index: number, { text, choices, ownName }: FormField): PersonQuestion {
    const { sessionId, note } = this.#exchange
    const labels = choices.map(({ label }) => label)
    return { sessionId, key: `${note.run} ${rpcId} ${index}`, text, choices: labels, takesText: ownName !== undefined }
  }
}
