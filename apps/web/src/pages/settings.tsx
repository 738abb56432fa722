import { SettingsPage } from '../settings/settings-page.tsx'

export default SettingsPage
