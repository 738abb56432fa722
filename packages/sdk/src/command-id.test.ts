import { commandIdSchema } from '@ai-orchestration/protocol'
import { expect, test } from 'vitest'
import { newCommandId } from './command-id.ts'

test('ids are ULIDs: valid, different, and sorted by time', () => {
  const ids = Array.from({ length: 1_000 }, () => newCommandId(1_700_000_000_000))
  for (const id of ids) commandIdSchema.parse(id)
  expect(new Set(ids).size).toBe(1_000)
  expect(newCommandId(1_700_000_000_000).slice(0, 10)).toBe('01HF7YAT00')
  expect(newCommandId(2_000_000_000_000) > newCommandId(1_999_999_999_999)).toBe(true)
})
