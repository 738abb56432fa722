/** The mark of AI Orchestration. */
export function Logo({ size = 18 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 18 18" aria-hidden="true" className="flex-none">
      <rect width="18" height="18" rx="4.5" fill="var(--text-1)" />
      <path
        d="M4.2 5.6h6M4.2 9h9.6M4.2 12.4h4"
        stroke="var(--bg-1)"
        strokeWidth="1.7"
        strokeLinecap="round"
        fill="none"
      />
    </svg>
  )
}
