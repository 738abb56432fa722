/** Rows that hold the place of what is being loaded. */
export function RowSkeleton({ rows = 6 }: { rows?: number }) {
  return (
    <div aria-busy="true">
      <span className="sr-only">Loading</span>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} className="flex h-[34px] items-center gap-3 border-b border-line-1 px-5 max-md:h-[58px]">
          <span className="size-3.5 rounded-full bg-surface-3" />
          <span className="h-2.5 rounded-1 bg-surface-3" style={{ width: `${120 + ((index * 53) % 130)}px` }} />
        </div>
      ))}
    </div>
  )
}
