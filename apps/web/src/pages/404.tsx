import { NotFound } from '../shell/not-found.tsx'

export default function NoSuchPage() {
  return <NotFound title="This page does not exist" text="The address may be old or mistyped." />
}
